import numpy as np
from quick import QUICK, train_on
from safetensors.numpy import load_file

from ismila.vision.weights import BUNDLED


def backbone_of(trained):
    weights = trained.classifier.weights
    return {n.removeprefix("backbone."): w for n, w in weights.items() if n.startswith("backbone.")}


def test_fine_tuning_moves_the_last_block_and_leaves_the_rest_and_all_statistics(enough):
    trained = train_on(enough, *QUICK["finetuned"])
    original = load_file(BUNDLED)
    moved = {
        name
        for name, weight in backbone_of(trained).items()
        if name in original and not np.array_equal(weight, original[name])
    }
    assert moved
    assert all(name.startswith("features.18.") for name in moved)
    assert not [name for name in moved if "running" in name]
    # the digest names the bundled weights no longer, so that torch answers, not the bundled graph
    assert trained.classifier.encoder is None
    assert len(trained.epochs) == 2
    assert trained.best_epoch == 1


def test_a_hidden_head_leaves_the_backbone_as_it_was(enough):
    trained = train_on(enough, *QUICK["hidden"])
    original = load_file(BUNDLED)
    backbone = backbone_of(trained)
    assert all(np.array_equal(backbone[name], weight) for name, weight in original.items())
    assert trained.classifier.encoder is not None
    assert trained.classifier.weights["head.0.weight"].shape == (128, 1280)


def test_the_decision_of_a_network_rests_on_the_validation_fold(enough):
    """With no photo there, 0.5 and temperature 1 stay."""
    trained = train_on(enough, *QUICK["cnn"])
    assert (trained.predictions["held_out_by"] == "val").any()
    assert trained.predictions["threshold"].nunique() == 1
