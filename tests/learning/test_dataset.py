import numpy as np
import pandas as pd
import pytest
from conftest import settings
from stand_ins import Sees

from ismila.learning.dataset import CachedRows, album_rows, batches, is_closeup
from ismila.learning.features import Features
from ismila.learning.given import cut_name
from ismila.photos.images import FAR_VIEW, ImageSpec
from ismila.vision.encoders import Identity
from ismila.vision.views import Viewer


def index(n_subject=8, n_things=20, n_pets=6):
    label = ["subject"] * n_subject + ["things"] * n_things + ["pets"] * n_pets
    kind = ["mila"] * n_subject + ["things"] * n_things + ["dog"] * n_pets
    n = len(label)
    fold = np.array(["train", "train", "val", "test"])[np.arange(n) % 4]
    table = pd.DataFrame({"label": label, "kind": kind, "fold": fold})
    table["path"] = [f"{i}.jpg" for i in range(n)]
    table["sha256"] = [f"{(i * 7919) % 1000:064d}" for i in range(n)]
    table["group"] = table["sha256"].str[-8:]
    table["closeup"] = pd.array([None] * n, dtype="boolean")
    table["subject_share"] = np.where(table["label"] == "subject", np.arange(n) / n_subject, np.nan)
    return table


def rows(*overrides, seed=0, table=None):
    return album_rows(index() if table is None else table, settings(*overrides).data, seed)


def labels(chosen, mask):
    return set(chosen.table.loc[mask, "label"])


def test_pets_train_only_in_the_variants_that_name_them():
    for variant, expected in (
        ("base", {"subject", "things"}),
        ("pets", {"subject", "things", "pets"}),
    ):
        chosen = rows(f"data={variant}")
        assert labels(chosen, chosen.trains) == expected
        assert len(chosen) == 34


def test_close_ups_keep_the_subjects_photos_above_the_share_and_what_labels_csv_says():
    table = index()
    table.loc[0, "closeup"] = True
    table.loc[7, "closeup"] = False
    chosen = rows("data=closeups", table=table)
    kept = chosen.table.loc[chosen.trains & chosen.is_subject, "path"]
    assert set(kept) == {"0.jpg", "5.jpg", "6.jpg"}
    assert is_closeup(table, 0.5)[:8].sum() == 3


def test_equal_balance_takes_as_many_negatives_in_each_fold_whatever_the_rows_order():
    table = index()
    chosen = rows("data=base", "data.balance=equal", table=table)
    for fold in ("train", "val", "test"):
        here = chosen.trains & chosen.is_in(fold)
        assert (here & chosen.is_subject).sum() == (here & ~chosen.is_subject).sum()
    shuffled = rows("data=base", "data.balance=equal", table=table.sample(frac=1, random_state=1))
    assert (shuffled.trains == chosen.trains).all()
    assert (rows("data=base", "data.balance=equal", seed=1).trains != chosen.trains).any()
    assert chosen.in_variant.sum() == 28
    assert not chosen.balanced and rows("data=base").balanced


@pytest.fixture
def cached(tmp_path):
    features = Features(tmp_path, Viewer(ImageSpec(32)), Identity(ImageSpec(32)))
    table = index(4, 6, 0)
    images = np.arange(10, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    features.store.add(
        [(sha, view) for view in (0, 1) for sha in table["sha256"]], list(images) * 2
    )
    return features, table


def test_a_box_in_labels_csv_says_which_row_trains(tmp_path):
    table = index(1, 1, 0)
    sha = table["sha256"][0]
    of_box = cut_name(sha, "0.5 0 1 1")
    encoder = Identity(ImageSpec(32))
    features = Features(
        tmp_path, Viewer(ImageSpec(32), Sees((0, 0, 0.5, 1))), encoder, {sha: "0.5 0 1 1"}
    )
    images = np.arange(3, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    features.store.add([(sha, 0), (of_box, 0), (table["sha256"][1], 0)], list(images))
    for each in table["sha256"]:
        features.animals.add(each, features.viewer.detector.seen)
    examples = rows("data=base", table=table).examples(features, 1)
    of_subject = examples.is_subject
    assert examples.x[:, 0, 0, 0][of_subject].tolist() == [0, 1]
    assert examples.asked[of_subject].tolist() == [True, False]
    assert examples.labelled[of_subject].tolist() == [False, True]


def test_a_batch_holds_rows_and_targets_and_every_row_comes_once_an_epoch(cached):
    features, table = cached
    data = CachedRows(features, table, views=2)
    assert len(data) == 20
    assert data.positive_weight == 1.5
    loader = batches(data, 6, seed=0)
    orders = []
    for _ in range(2):
        seen = [
            (int(x[0, 0, 0]), float(y)) for xs, ys in loader for x, y in zip(xs, ys, strict=True)
        ]
        assert sorted(seen) == sorted([(i, float(i < 4)) for i in range(10)] * 2)
        orders.append(seen)
    assert orders[0] != orders[1]
    again = [
        (int(x[0, 0, 0]), float(y))
        for xs, ys in batches(data, 6, seed=0)
        for x, y in zip(xs, ys, strict=True)
    ]
    assert again == orders[0]


def test_processes_share_the_rows_of_an_epoch(cached):
    class Rank:
        world_size = 2
        global_rank = 0

    features, table = cached
    parts = []
    for rank in (0, 1):
        trainer = Rank()
        trainer.global_rank = rank
        loader = batches(CachedRows(features, table), 3, 0, trainer)
        loader.batch_sampler.sampler.set_epoch(0)
        parts.append({int(x[0, 0, 0]) for xs, _ in loader for x in xs})
    assert parts[0] | parts[1] == set(range(10))
    assert not parts[0] & parts[1]


def test_from_afar_the_subjects_images_train_once_more(tmp_path):
    table = index(2, 2, 0)
    features = Features(tmp_path, Viewer(ImageSpec(32)), Identity(ImageSpec(32)))
    images = np.arange(4, dtype=np.uint8)[:, None, None, None] * np.ones((1, 32, 32, 3), np.uint8)
    features.store.add([(sha, 0) for sha in table["sha256"]], list(images))
    of_subject = table["label"] == "subject"
    far = [(sha, FAR_VIEW) for sha in table.loc[of_subject, "sha256"]]
    features.store.add(far, list(images[of_subject] + 100))
    chosen = rows("data=base", table=table)
    examples = chosen.examples(features, 1, low_resolution=True)
    assert (examples.also == examples.x[examples.also_of] + 100).all()
    assert examples.is_subject[examples.also_of].tolist() == [True, True]
    assert not len(chosen.examples(features, 1).also)
