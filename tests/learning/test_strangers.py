import numpy as np
import pytest
from conftest import features_of

from ismila.learning.strangers import LEVELS, Strangers, pack, strangers_of, unpack
from ismila.photos.images import FAR_PX
from ismila.vision.weights import STRANGERS, shipped


@pytest.fixture
def few():
    x = np.random.default_rng(0).gamma(1, 1, (5, 30)).astype(np.float32)
    kind = np.array(["dog", "dog", "cat", "things", "things"], object)
    held_out = np.array([False, False, True, True, False])
    far, far_of = x[[4, 1]] / 2, np.array([4, 1])
    return Strangers(x, np.array([0, 0, 1, 2, 3]), kind, held_out, far, far_of)


def test_what_is_packed_is_read_back_but_for_the_steps(few, tmp_path):
    np.savez_compressed(tmp_path / "strangers.npz", **pack(few, "these"))
    read = unpack(tmp_path / "strangers.npz")
    assert (np.abs(np.sqrt(read.x) - np.sqrt(few.x)) <= np.sqrt(few.x).max(0) / LEVELS).all()
    assert read.kind.tolist() == few.kind.tolist()
    assert read.photo.tolist() == few.photo.tolist()
    assert (np.abs(read.far / read.x[read.far_of] - 0.5) < 0.2).mean() > 0.8
    assert read.far_of.tolist() == [4, 1]


def test_the_file_of_a_backbone_is_told_by_who_made_it(few, tmp_path):
    for name in ("these", "those"):
        np.savez_compressed(tmp_path / f"strangers_{name}.npz", **pack(few, name))
    files = tmp_path / "strangers_*.npz"
    assert shipped(files, "those") == tmp_path / "strangers_those.npz"
    assert shipped(files, "others") is None
    assert shipped(files, "") is None


def test_a_photo_is_in_one_half(few):
    known, unseen = few.half(held_out=False), few.half(held_out=True)
    assert len(known.x) + len(unseen.x) == len(few.x)
    assert known.photo.tolist() == [0, 0, 1]
    assert unseen.kind.tolist() == ["cat", "things"]
    assert (known.far == known.x[known.far_of] / 2).all()
    assert len(known.far) == 2
    assert not len(unseen.far)


def test_they_train_as_other_animals_and_things(few):
    examples = few.half(held_out=False).examples(2)
    assert examples.stratum.tolist() == ["pets/dog", "pets/dog", "things"]
    assert examples.trains.all()
    assert examples.x.shape == (3, 30)
    # the further view of each is the same, and two are there from afar
    assert (examples.also == [*examples.x, *examples.x[[2, 1]] / 2]).all()
    assert examples.also_of.tolist() == [0, 1, 2, 2, 1]
    assert len(set(examples.group)) == 2


@pytest.mark.parametrize("model", ["reid", "mobilenet"])
def test_thousands_are_shipped_for_each_bundled_backbone(model, tmp_path):
    """Fails when whatever makes the views or the features was changed, and tools/make_strangers.py not run."""
    strangers = strangers_of(features_of(tmp_path, f"model={model}").recipe)
    for held_out in (False, True):
        half = strangers.half(held_out)
        photos = {kind: len(set(half.photo[half.kind == kind])) for kind in set(half.kind)}
        assert photos["dog"] > 1000
        assert photos["cat"] > 1000
        assert photos["things"] > 120
    assert np.isfinite(strangers.x).all()


def test_a_third_of_those_that_train_is_shipped_from_afar_where_animals_are_cut_out(tmp_path):
    """Fails when FAR_PX was changed, and tools/make_strangers.py not run."""
    path = shipped(STRANGERS, features_of(tmp_path, "model=reid").recipe)
    assert np.load(path)["far_px"] == FAR_PX
    strangers = unpack(path)
    trained = len(set(strangers.photo[~strangers.held_out & (strangers.kind != "things")]))
    assert trained / 4 < len(strangers.far) < trained / 2
    assert not strangers.held_out[strangers.far_of].any()
    assert set(strangers.kind[strangers.far_of]) == {"dog", "cat"}
    near, far = strangers.x[strangers.far_of], strangers.far
    likest = [np.linalg.norm(near - row, axis=1).argmin() for row in far[:40]]
    assert np.mean(likest == np.arange(40)) > 0.8
    assert not len(strangers_of(features_of(tmp_path, "model=mobilenet").recipe).far)


def test_other_settings_than_the_shipped_have_none(tmp_path):
    features = features_of(tmp_path, "model=mobilenet", "model.size_px=128")
    assert strangers_of(features.recipe) is None
