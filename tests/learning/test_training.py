import shutil

import numpy as np
import pytest
from conftest import draw_photo, draw_sides, settings
from PIL import Image
from quick import QUICK, train_on

from ismila.evidence.metrics import rates
from ismila.learning.training import read_photos
from ismila.photos import UserError
from ismila.photos.album import Album
from ismila.photos.folds import assign_folds
from ismila.photos.index import album_digest, usable

COLUMNS = ["path", "sha256", "group", "fold", "label", "kind", "closeup"]
COLUMNS += ["subject_share", "probability", "threshold", "held_out_by", "used"]


@pytest.mark.parametrize("model", QUICK)
def test_every_network_trains_on_the_training_fold_and_answers_for_every_photo(enough, model):
    trained = train_on(enough, *QUICK[model], "data=pets", "data.balance=weights")
    table = trained.predictions
    assert list(table) == COLUMNS
    assert len(table) == 120
    assert np.isfinite(table["probability"]).all()
    assert trained.protocol == "fold"
    assert (table["used"] == (table["fold"] == "train")).all()
    assert (table["held_out_by"] == table["fold"].where(table["fold"] != "train", "")).all()
    assert set(trained.selection["path"]) == set(table.loc[table["fold"] == "val", "path"])
    assert {"loss", "accuracy", "val_loss", "val_accuracy"} <= set(
        trained.epochs[trained.best_epoch]
    )


VARIANTS = ["base", "pets", "closeups", "pets_closeups", "pets"]
NETWORKS = ["efficientnet_lite0", "pair", "mobilenet", "cnn", "reid"]


def label_closeups(root):
    """Half of the subject's photos: no detector sees an animal in a blob."""
    photos = sorted(path.name for path in (root / "mila").iterdir())
    words = [f"mila/{name},,{'yes' if at % 2 else 'no'}," for at, name in enumerate(photos)]
    (root / "labels.csv").write_text("\n".join(["path,label,closeup,note", *words]))


@pytest.mark.parametrize(("model", "data"), zip(NETWORKS, VARIANTS, strict=True))
def test_every_network_and_every_variant_of_the_configs_runs(own, model, data):
    quick = ["model.size_px=64", "trainer=smoke"]
    label_closeups(own)
    trained = train_on(own, f"model={model}", f"data={data}", *quick)
    used = trained.predictions[trained.predictions["used"]]
    assert ("pets" in set(used["label"])) == data.startswith("pets")
    of_subject = trained.predictions["label"] == "subject"
    in_training = trained.predictions["fold"] == "train"
    if "closeups" in data:
        assert 0 < (used["label"] == "subject").sum() < (of_subject & in_training).sum()


@pytest.mark.parametrize("experiment", ["article_cnn", "article_mobilenet"])
def test_the_articles_runs_train_on_as_many_of_either_side(enough, experiment):
    quick = ["model.size_px=64", "trainer=smoke"]
    used = train_on(enough, f"experiment={experiment}", *quick).predictions.query("used")
    assert used["label"].value_counts().nunique() == 1


@pytest.mark.parametrize("model", ["mobilenet", "cnn", "hidden"])
def test_refit_all_changes_no_reported_answer_and_no_decision(enough, model):
    """The old code chose threshold and temperature on the test fold as soon as `refit=all` was given."""
    overrides = [*QUICK[model], "data=pets", "data.balance=weights"]
    by_folds = train_on(enough, *overrides)
    refitted = train_on(enough, *overrides, "refit=all")
    assert refitted.classifier.decision == by_folds.classifier.decision
    assert refitted.predictions["used"].all()
    columns = ["probability", "threshold", "held_out_by"]
    assert refitted.predictions[columns].equals(by_folds.predictions[columns])
    weight = "head.0.weight" if model != "cnn" else "head.1.weight"
    assert not np.allclose(refitted.classifier.weights[weight], by_folds.classifier.weights[weight])


def test_labels_of_the_test_fold_choose_nothing(own):
    """Swap what the test fold is said to show: nothing that is decided may move."""
    before = train_on(own, *QUICK["mobilenet"], "data=pets")
    table = before.predictions
    lines = ["path,label,closeup,note"]
    for row in table[table["fold"] == "test"].itertuples():
        lines.append(f"{row.path},{'not_mila' if row.label == 'subject' else 'mila'},,")
    (own / "labels.csv").write_text("\n".join(lines))
    after = train_on(own, *QUICK["mobilenet"], "data=pets")
    assert after.classifier.decision == before.classifier.decision
    assert np.array_equal(
        after.classifier.weights["head.0.weight"], before.classifier.weights["head.0.weight"]
    )
    assert after.selection["probability"].equals(before.selection["probability"])


def test_labels_of_the_validation_fold_calibrate_nothing_that_a_run_is_chosen_by(own):
    """`select_loss` is measured there: what makes its probabilities must not know the labels."""
    before = train_on(own, *QUICK["mobilenet"], "data=pets")
    table = before.predictions
    lines = ["path,label,closeup,note"]
    for row in table[table["fold"] == "val"].itertuples():
        lines.append(f"{row.path},{'not_mila' if row.label == 'subject' else 'mila'},,")
    (own / "labels.csv").write_text("\n".join(lines))
    after = train_on(own, *QUICK["mobilenet"], "data=pets")
    assert after.classifier.decision != before.classifier.decision
    both = before.selection.merge(after.selection, on="path")
    assert (both["label_x"] != both["label_y"]).any()
    assert np.array_equal(both["probability_x"], both["probability_y"])


@pytest.mark.parametrize(
    ("network", "is_clean"), [("mobilenet", True), ("cnn", False), ("hidden", False)]
)
def test_whether_a_runs_choices_were_made_on_what_it_is_chosen_by_is_known(
    enough, network, is_clean
):
    assert train_on(enough, *QUICK[network], "data=pets").selection_is_clean == is_clean


def test_with_few_photos_the_figures_are_cross_validated_and_all_of_them_train(tmp_path):
    root = draw_sides(tmp_path, 9, 30, 10)
    trained = train_on(root, *QUICK["mobilenet"], "data=pets")
    table = trained.predictions
    assert trained.protocol == "crossval"
    assert not trained.selection_is_clean
    assert table["held_out_by"].str.fullmatch("crossval [0-4]").all()
    assert table["used"].all()
    assert table.groupby("group")["held_out_by"].nunique().max() == 1
    assert table.groupby("held_out_by")["threshold"].nunique().max() == 1
    # each fold's decision was chosen without it
    assert table["threshold"].nunique() > 1
    assert {"val_loss", "val_accuracy"} <= set(trained.epochs[0])


def test_a_variant_changes_no_fold_and_no_protocol(enough):
    tables = [
        train_on(enough, *QUICK["mobilenet"], f"data={data}").predictions
        for data in ("base", "pets")
    ]
    assert tables[0][["path", "fold", "held_out_by"]].equals(
        tables[1][["path", "fold", "held_out_by"]]
    )


@pytest.mark.parametrize("model", ["mobilenet", "cnn"])
@pytest.mark.parametrize(
    "sides", [(1, 1, 0), (1, 12, 3), (12, 1, 0), (3, 3, 0), (2, 2, 2), (5, 4, 12)]
)
def test_small_and_lopsided_albums_end_in_figures_or_a_plain_sentence(tmp_path, model, sides):
    root = draw_sides(tmp_path, *sides)
    for data in ("pets", "closeups"):
        try:
            trained = train_on(root, *QUICK[model], f"data={data}")
        except UserError as error:
            assert "to train on" in str(error)
            continue
        assert np.isfinite(trained.predictions["probability"]).all()
        assert 0 <= trained.best_epoch < len(trained.epochs)
        rates(trained.predictions, trained.classifier.threshold)


def test_all_photos_of_the_subject_in_one_burst(tmp_path):
    root = draw_sides(tmp_path / "album", 0, 12)
    with Image.open(draw_photo(tmp_path / "one.jpg", 5, True)) as one:
        for i in range(6):
            path = root / f"mila/m{i}.jpg"
            path.parent.mkdir(exist_ok=True)
            one.save(path, quality=60 + 5 * i)
    trained = train_on(root, *QUICK["mobilenet"])
    of_subject = trained.predictions[trained.predictions["label"] == "subject"]
    assert of_subject["group"].nunique() == 1
    assert (of_subject["held_out_by"] == "").all()


def test_without_a_validation_fold_the_last_epoch_is_the_one_that_is_kept(own):
    rows = train_on(own, *QUICK["cnn"]).predictions
    lines = [f"{path},drop,," for path in rows.loc[rows["fold"] == "val", "path"]]
    (own / "labels.csv").write_text("\n".join(["path,label,closeup,note", *lines]))
    trained = train_on(own, *QUICK["cnn"])
    assert trained.best_epoch == len(trained.epochs) - 1 == 1
    assert "val_loss" not in trained.epochs[-1]


def test_a_photo_that_cannot_be_read_after_all_takes_no_part(own, monkeypatch):
    gone = draw_photo(own / "mila/gone.jpg", 777, True)
    photos = Album.photos

    def without_it(self, rows):
        gone.unlink(missing_ok=True)
        return photos(self, rows)

    monkeypatch.setattr(Album, "photos", without_it)
    table = train_on(own, *QUICK["mobilenet"]).predictions
    assert len(table) == 120
    assert "mila/gone.jpg" not in set(table["path"])


@pytest.mark.parametrize("model", ["mobilenet", "finetuned"])
def test_photos_that_are_gone_are_named_and_too_many_are_an_error(own, model):
    shutil.rmtree(own / ".ismila/features", ignore_errors=True)
    wanted = settings(f"data.root='{own}'", *QUICK[model])
    album = Album.open(own, wanted.subject)
    rows = usable(album.update())
    rows["fold"] = assign_folds(rows, wanted.seed)
    photos = sorted((own / "not_mila").iterdir())
    for photo in photos[:10]:
        photo.unlink()
    photos[10].write_bytes(b"damaged")
    read = read_photos(album, rows, wanted)
    assert len(read.unread) == 11
    assert read.unread[f"not_mila/{photos[0].name}"] == "file not found"
    assert album_digest(read.index) == album_digest(usable(album.update())) != album_digest(rows)
    shutil.rmtree(own / ".ismila/features")
    photos[11].unlink()
    photos[12].unlink()
    with pytest.raises(UserError, match=r"13 of 120 photos .* read any more \(not_mila/.*give the"):
        read_photos(album, rows, wanted)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["cnn", "pair"])
def test_the_same_seed_gives_the_same_and_a_deleted_cache_changes_nothing(own, model):
    overrides = [f"model={model}", "model.size_px=64", "trainer=smoke", "data=pets_closeups"]
    label_closeups(own)
    before = train_on(own, *overrides)
    shutil.rmtree(own / ".ismila")
    after = train_on(own, *overrides)
    assert after.predictions.equals(before.predictions)
    assert after.selection.equals(before.selection)
    assert after.classifier.decision == before.classifier.decision


def test_strangers_train_by_halves_and_one_folder_is_enough(tmp_path):
    """The half that is never trained on says how often a stranger is taken for the subject."""
    root = draw_sides(tmp_path, 8, 0)
    trained = train_on(root, "model=mobilenet", "data=strangers")
    assert trained.protocol == "crossval"
    assert trained.predictions["label"].unique().tolist() == ["subject"]
    assert (trained.strangers["kind"] != "things").sum() > 2000
    assert set(trained.strangers["kind"]) == {"dog", "cat", "things"}
    # blobs are not alike to any animal
    assert (trained.strangers["probability"] < trained.strangers["threshold"]).mean() > 0.99
    assert set(trained.selection["label"]) == {"subject"}


def test_strangers_are_asked_by_every_run_of_a_backbone_that_knows_them(enough):
    trained = train_on(enough, "model=mobilenet", "data=base")
    assert len(trained.strangers) > 2100
    assert train_on(enough, *QUICK["mobilenet"], "data=base").strangers is None


def test_where_no_strangers_were_shipped_that_is_said(enough):
    with pytest.raises(UserError, match="model=mobilenet as they are"):
        train_on(enough, *QUICK["mobilenet"], "data=strangers")
