"""Every key of every config: a wrong type, a negative, an absurd value, an unknown name."""

import copy
from dataclasses import fields

import pytest
from conftest import CONF, config_of, settings
from hydra.errors import ConfigCompositionException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ismila.photos import UserError
from ismila.photos.index import OCCASION_MINUTES
from ismila.settings import (
    CNNSettings,
    FrozenSettings,
    MismatchError,
    RunSettings,
    SettingError,
    flat,
    settings_of,
)

GROUPS = {
    path.name: sorted(p.stem for p in path.glob("*.yaml"))
    for path in CONF.iterdir()
    if path.is_dir()
}
CHOICES = [f"{group}={name}" for group, names in GROUPS.items() for name in names]
NUMBERS = [
    f"{prefix}{each.name}"
    for model, prefix in ((FrozenSettings, "model."), (RunSettings, ""))
    for each in fields(model)
    if "above" in each.metadata
] + ["data.closeups_above", "trainer.max_epochs", "trainer.limit_train_batches"]


@pytest.mark.parametrize("choice", CHOICES)
def test_every_config_file_gives_settings(choice):
    assert isinstance(settings(choice), RunSettings)


def test_model_mobilenet_is_mobilenetv2_alone_and_the_default_finds_the_animal():
    alone = settings("model=mobilenet").model
    assert (alone.name, alone.size_px, alone.hidden, alone.weights) == (
        "mobilenet",
        224,
        0,
        "bundled",
    )
    pair = settings("model=pair").model
    assert (pair.name, pair.size_px, pair.detector) == ("pair", 256, None)
    default = settings().model
    assert (default.name, default.backbone, default.detector) == ("reid", "pair", "nanodet")
    article = settings("experiment=article_mobilenet").model
    assert (article.name, article.size_px, article.hidden) == ("mobilenet", 224, 128)
    assert isinstance(settings("model=cnn").model, CNNSettings)


@pytest.fixture(scope="module")
def composed():
    """Hydra's config of a run; composing it anew takes a quarter of a second."""
    return config_of("model=mobilenet")


@pytest.mark.parametrize("key", NUMBERS)
@pytest.mark.parametrize("value", ["abc", [1], -1, 1e99, float("nan")], ids=str)
def test_a_number_that_is_none_is_refused_before_anything_is_read(composed, key, value):
    changed = copy.deepcopy(composed)
    with pytest.raises((SettingError, OmegaConfBaseException)):
        OmegaConf.update(changed, key, value)
        settings_of(changed)


def test_the_gap_between_occasions_is_what_whoever_knows_no_settings_takes():
    assert settings().data.occasion_minutes == OCCASION_MINUTES
    assert settings("data.occasion_minutes=null").data.occasion_minutes is None


def test_the_same_is_refused_on_the_command_line():
    for override in ("model.C=abc", "model.C=[1]"):
        with pytest.raises(ConfigCompositionException):
            settings(override)
    with pytest.raises(SettingError):
        settings("seed=-1")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("model.C=-1", "model.C=-1.0: expected a number above 0"),
        ("model.C=0", "model.C=0.0: expected a number above 0"),
        ("model.size_px=-5", "at least 32"),
        ("model.weights=imagenet", "bundled or torchvision"),
        ("model.backbone=resnet", "mobilenet, efficientnet_lite0, pair, timm:NAME"),
        ("model.detector=yolo", "nanodet or null"),
        ("data.balance=even", "weights, equal or none"),
        ("refit=some", "expected all or null"),
        ("seed=-1", "seed=-1"),
        ("trainer.devices=0", "a number from 1 or auto"),
        ("trainer.accelerator=abacus", "cpu, gpu or auto"),
        ("trainer.strategy=fsdp", "auto or ddp"),
        ("trainer.precision=bf16-true", "null, 32-true, bf16-mixed, 16-mixed"),
        ("tracking.uri=nonsense://", "sqlite:///FILE, http://HOST:PORT"),
        ("tracking.uri=abc", "sqlite:///FILE"),
        ("tracking.uri=5", "sqlite:///FILE"),
        ("data.name='a b'", "expected a word"),
        ("model.name=''", "expected a word"),
        ("subject=not_mila", "does not begin with not_"),
        ("subject='mila,rex'", "several subjects are a run each"),
        ("subject=a/b", "the name of a folder"),
        ("subject=..", "the name of a folder"),
        ("subject=pets", "the name of a folder"),
        ("model.finetune_blocks=3", "take model=mobilenet"),
        ("model.finetune_blocks=20", "at most 19"),
    ],
)
def test_what_was_expected_is_said(override, expected):
    with pytest.raises(SettingError, match="expected") as error:
        settings(override)
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, UserError)


def leaves(config, prefix=""):
    for key in config:
        child = config._get_node(key)
        if OmegaConf.is_config(child):
            yield from leaves(child, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


FREE = ("data.root", "data.cache", "subject")
"""Texts of a person's own: whether there is such a folder is seen when it is opened."""
ABSURD = ["absurd", "", -3, 10**30, float("inf"), [1], "x" * 5000, "a\nb"]


def test_no_key_of_any_config_takes_what_is_absurd(composed):
    for config in (composed, config_of("model=cnn")):
        keys = [key for key in leaves(config) if key not in FREE]
        for key in (
            keys if config is composed else ["model.name", "data.strangers", "model.size_px"]
        ):
            is_bool = isinstance(OmegaConf.select(config, key), bool)  # a number is true or false
            words = ["absurd", float("inf")] if key.endswith(".name") else []
            allowed = [-3, 10**30] if is_bool else words
            assert [value for value in taken(config, key) if value not in allowed] == [], key


def taken(config, key):
    before = OmegaConf.select(config, key)
    for value in ABSURD:
        try:
            OmegaConf.update(config, key, value)
            settings_of(config)
            yield value
        except (SettingError, OmegaConfBaseException):
            pass
        finally:
            OmegaConf.update(config, key, before)


@pytest.mark.parametrize("subject", ["a\nb", "caf\udce9", "a\x1b[2J", "x" * 101])
def test_a_subject_that_cannot_be_written_down_is_refused(composed, subject):
    changed = copy.deepcopy(composed)
    changed.subject = subject
    with pytest.raises(SettingError, match="the name of a folder"):
        settings_of(changed)


def test_stores_and_precisions_that_there_are_are_taken():
    for uri in (
        "sqlite:///mlruns/mlflow.db",
        "http://127.0.0.1:5000",
        "postgresql+psycopg2://u:p@h/db",
    ):
        assert settings(f"tracking.uri='{uri}'").tracking.uri == uri
    for precision in ("bf16-mixed", "32"):
        chosen = settings("model=cnn", f"trainer.precision={precision}", "trainer=ddp")
        assert chosen.trainer.precision == precision


def test_settings_that_do_not_go_together():
    with pytest.raises(SettingError, match="leave one of them out"):
        settings("model=mobilenet", "model.finetune_blocks=1", "refit=all")
    with pytest.raises(SettingError, match="expected null with model"):
        settings("model=reid", "model.hidden=16")
    with pytest.raises(SettingError, match="take model=reid or model=mobilenet"):
        settings("model=cnn", "data=strangers")
    with pytest.raises(SettingError, match="but for mobilenet"):
        settings("model=pair", "model.weights=torchvision")


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["model.lr=0.01"], "model.lr=0.01: only model=cnn or model.hidden reads it; leave it out"),
        (["model.epochs=7"], "model.epochs=7: only model=cnn or model.hidden reads it"),
        (["model=pair", "model.dropout=0.5"], "model.dropout=0.5: only "),
        (["trainer.max_epochs=2"], "trainer.max_epochs=2: only "),  # half of trainer=smoke
        (["trainer.precision=bf16-mixed"], "trainer.precision=bf16-mixed: only "),
        (["experiment=article_mobilenet", "model.C=1"], "model.C=1.0: only a linear head reads it"),
        (
            ["data=strangers", "model.threshold_fpr=0.01"],
            "model.threshold_fpr=0.01: only the album's",
        ),
        (
            ["data=strangers", "model.threshold_play=0"],
            "model.threshold_play=0.0: only the album's",
        ),
        (["data=strangers", "data.balance=equal"], "data.balance=equal: expected weights or none"),
        (
            ["data=strangers", "model=mobilenet", "model.weights=torchvision"],
            "bundled backbone only",
        ),
        (["data=strangers", "model.backbone=timm:x"], "bundled backbone only"),
        (["model=mobilenet", "model.finetune_lr=0.1"], "only model.finetune_blocks reads it"),
        (
            ["model=mobilenet", "model.finetune_blocks=1", "model.batch_size=48"],
            "model.batch_size=48: only model=cnn, model.hidden or model.finetune_blocks (up to 32)",
        ),
        (
            ["model=efficientnet_lite0", "model.finetune_blocks=19"],
            "model.finetune_blocks=19: expected at most 18",
        ),
        (["model=cnn", "trainer.precision=16-mixed"], "needs trainer.accelerator=gpu; take bf16"),
        (["model=cnn", "trainer.devices=2"], "take trainer=ddp"),
        (["model=cnn", "trainer.devices=auto"], "take trainer=ddp"),
    ],
)
def test_a_value_that_nothing_in_the_run_reads_is_refused(overrides, said):
    """As what does not go together: a sweep leaves such a job out."""
    with pytest.raises(MismatchError) as error:
        settings(*overrides)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_what_stands_in_a_file_of_the_package_was_chosen_by_nobody():
    assert settings("trainer=smoke").trainer.max_epochs == 2
    assert settings("model.lr=0.001").model.lr == 0.001  # mobilenet.yaml's own
    hidden = settings("model=reid", "model.detector=null", "model.hidden=16", "model.lr=0.01")
    assert (hidden.model.C, hidden.model.lr) == (
        0.2,
        0.01,
    )  # reid's C, which a hidden layer has none of
    assert (
        settings("model=cnn", "trainer.precision=16-mixed", "trainer=gpu").trainer.precision
        == "16-mixed"
    )


@pytest.mark.parametrize("trainer", GROUPS["trainer"])
def test_every_network_goes_with_every_variant_and_trainer_of_the_package(trainer):
    for model in GROUPS["model"]:
        for data in GROUPS["data"]:
            chosen = (f"model={model}", f"data={data}", f"trainer={trainer}")
            if (model, data) == ("cnn", "strangers"):
                with pytest.raises(MismatchError):
                    settings(*chosen)
            else:
                assert settings(*chosen).model.name == model


@pytest.mark.parametrize(
    "override", ["model.beside=null", "modle=cnn", "+data.colour=red", "model.lr2=1"]
)
def test_an_unknown_name_is_refused(override):
    with pytest.raises((SettingError, ConfigCompositionException, OmegaConfBaseException)):
        settings(override)


def test_a_folder_is_at_home_where_no_shell_has_said_so(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ann")
    chosen = settings("data.root='~/Fotos'", "data.cache='~/c'", "model.backbone='local-dir:~/m'")
    assert (chosen.data.root, chosen.data.cache) == ("/home/ann/Fotos", "/home/ann/c")
    assert chosen.model.backbone == "local-dir:/home/ann/m"
    assert settings("data.root='~nobody at all/x'").data.root == "~nobody at all/x"
    with pytest.raises(SettingError, match=r"data.root=: expected a folder"):
        settings("data.root=")


def test_what_does_not_go_together_is_told_from_what_is_wrong():
    with pytest.raises(MismatchError, match="strangers are known to a linear head"):
        settings("model=cnn", "data=strangers")
    with pytest.raises(SettingError) as wrong:
        settings("model=cnn", "seed=-1")
    assert not isinstance(wrong.value, MismatchError)


def test_a_sweeps_name_can_be_typed_and_searched_for():
    assert settings("sweep.name=night-1").sweep.name == "night-1"
    with pytest.raises(SettingError, match="expected a word"):
        settings("sweep.name='two words'")


def test_they_cannot_be_changed_and_are_recorded_flat():
    chosen = settings("model=cnn", "data=closeups", "seed=0")
    with pytest.raises(AttributeError):
        chosen.seed = 1
    params = flat(chosen)
    assert params["seed"] == "0"
    assert params["data.closeups_above"] == "0.5"
    assert params["model.name"] == "cnn"
    assert params["tracking.uri"] == "None"
