"""Each value of each setting, in each kind of run: refused in one plain line, or it changes what comes out.

The settings are read from the dataclasses: a new one without a case here fails.
"""

import hashlib
from dataclasses import fields

import pytest
from conftest import draw_photo, draw_sides, settings
from hydra.errors import ConfigCompositionException
from quick import train_on

from ismila.photos import UserError
from ismila.settings import (
    BUNDLED_BACKBONES,
    READERS,
    CNNSettings,
    DataSettings,
    FrozenSettings,
    RunSettings,
    SettingError,
    SweepSettings,
    TrackingSettings,
    TrainerSettings,
)

BY_ALBUM = ("data=pets", "model.threshold_fpr=0.3")
KINDS = {
    "linear": ["model=mobilenet", "model.size_px=64", *BY_ALBUM],
    "strangers": ["model=mobilenet", "data=strangers"],
    "cnn": ["model=cnn", "model.size_px=32", "model.epochs=8", "model.lr=0.01", *BY_ALBUM],
    "hidden": [
        *("model=mobilenet", "model.size_px=64", "model.hidden=16", *BY_ALBUM),
        *("model.epochs=8", "model.lr=0.01", "model.batch_size=16"),
    ],
    "finetuned": [
        *("model=mobilenet", "model.size_px=64", "model.finetune_blocks=1", *BY_ALBUM),
        *("model.finetune_epochs=8", "model.finetune_lr=0.01"),
    ],
}
PARTS = {
    "": RunSettings,
    "data.": DataSettings,
    "model.": FrozenSettings,
    "trainer.": TrainerSettings,
    "tracking.": TrackingSettings,
    "sweep.": SweepSettings,
}
ELSEWHERE = {
    "subject": "which folder is whose",
    "data.name": "what a run is called",
    "data.root": "where the photos are",
    "data.cache": "where derived files go",
    "data.occasion_minutes": "a blob has no time; tests/photos/test_index.py",
    "model.name": "what a run is called",
    "model.detector": "sees no animal in a blob; tests/vision/test_views.py",
    "model.weights": "torchvision's are downloaded; tests/vision/test_backbones.py",
    "trainer.accelerator": "where it is computed; tests/learning/test_inputs.py",
    "trainer.devices": "how many processes; tests/test_train.py",
    "trainer.strategy": "how many processes; tests/test_train.py",
    "tracking.uri": "where runs are recorded; tests/runs",
    "tracking.system_metrics": "what else is recorded; tests/runs",
    "sweep.name": "what a sweep is called; tests/cli/test_sweeping.py",
    "sweep.again": "which jobs run; tests/cli/test_sweeping.py",
}
"""Settings that change nothing of what a run computes, and what they change."""
VALUES = {
    "seed": [1],
    "data.pets": [True, False],
    "data.strangers": [True, False],
    "data.closeups_above": [0.3],
    "model.size_px": [96],
    "model.dropout": [0.1],
    "model.epochs": [3],
    "model.patience": [1],
    "model.batch_size": [8],
    "model.lr": [0.003],
    "model.weight_decay": [1],
    "model.threshold_fpr": [0.9, 0],
    "model.threshold_play": [0, 9],
    "model.backbone": BUNDLED_BACKBONES,
    "model.C": [1],
    "model.shrink": [0.5],
    "model.hidden": [8],
    "model.views": [3],
    "model.finetune_blocks": [2],
    "model.finetune_lr": [0.001],
    "model.finetune_epochs": [2],
    "trainer.max_epochs": [2],
    "trainer.limit_train_batches": [1],
}
"""Of those that are no choice of words."""
THE_SAME = {"trainer.precision": ("null", "32", "32-true")}


def values_of(key, metadata):
    if "choices" not in metadata:
        return VALUES[key]
    return ["null" if one is None else one for one in metadata["choices"]]


def cases():
    for prefix, part in PARTS.items():
        for each in fields(part):
            key = f"{prefix}{each.name}"
            if f"{key}." not in PARTS and key not in ELSEWHERE:
                yield key, values_of(key, each.metadata)


CASES = dict(cases())


def test_no_setting_is_without_a_case():
    names = {f"{prefix}{each.name}" for prefix, part in PARTS.items() for each in fields(part)}
    names -= {prefix.rstrip(".") for prefix in PARTS}
    assert names == CASES.keys() | ELSEWHERE.keys()
    assert VALUES.keys() < names
    assert {each.name for each in fields(CNNSettings)} < {
        each.name for each in fields(FrozenSettings)
    }


def test_every_reader_is_one_that_there_is():
    named = {
        one
        for part in PARTS.values()
        for each in fields(part)
        for one in each.metadata.get("read_by", ())
    }
    assert named <= READERS.keys()


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Hardly told apart, so that each choice shows: some things look like the subject."""
    root = draw_sides(tmp_path_factory.mktemp("matrix") / "album", 32, 44, 12)
    for i in range(6):
        draw_photo(root / f"not_mila/alike{i}.jpg", 500 + i, True)
    lines = [f"mila/m{i}.jpg,,{'yes' if i % 3 else 'no'}," for i in range(32)]
    (root / "labels.csv").write_text("\n".join(["path,label,closeup,note", *lines]))
    return root


@pytest.fixture(scope="module")
def outcome(album):
    """What comes out of a run, by its overrides; each is trained once."""
    known = {}

    def outcome_of(*overrides):
        if overrides not in known:
            trained = train_on(album, *overrides)
            table = trained.predictions[["path", "probability", "threshold", "used"]]
            weights = sorted(trained.classifier.weights.items())
            content = b"".join(array.tobytes() for _, array in weights)
            known[overrides] = (
                hashlib.sha256(content).hexdigest(),
                table.to_csv(),
                trained.classifier.decision,
                len(trained.epochs),
            )
        return known[overrides]

    return outcome_of


def tried(outcome, kind, key, value):
    """What a value does to a kind of run: `refused`, `changed`, `unchanged`; `same` is the value that it has."""
    given = [*KINDS[kind], f"{key}={value}"]
    try:
        if settings(*given) == settings(*KINDS[kind]):
            return "same"
        after = outcome(*given)
    except ConfigCompositionException:  # Hydra's: the network has no such setting
        assert kind == "cnn" and key not in {f"model.{each.name}" for each in fields(CNNSettings)}
        return "refused"
    except UserError as error:
        assert isinstance(error, SettingError) or "to train on" in str(error)
        assert len(str(error).splitlines()) == 1
        assert "expected" in str(error) or "; " in str(error)
        return "refused"
    return "changed" if after != outcome(*KINDS[kind]) else "unchanged"


@pytest.mark.slow
@pytest.mark.parametrize("key", CASES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_is_refused_or_changes_what_comes_out(outcome, kind, key):
    meant = [value for value in CASES[key] if value not in THE_SAME.get(key, ())]
    became = {value: tried(outcome, kind, key, value) for value in meant}
    if key in VALUES:  # one of several numbers is enough to show that it is read
        assert set(became.values()) != {"unchanged"}
        if "changed" in became.values():
            return
    assert "unchanged" not in became.values(), became
