import copy
import signal

import numpy as np
import pytest
import torch
from quick import QUICK, train_on

from ismila.learning import networks
from ismila.learning.networks import BestEpoch, FineTuneModule, Optimisation, augment
from ismila.photos.images import ImageSpec
from ismila.settings import SettingError
from ismila.vision.backbones import CNN, Network, make_head


def test_augmented_images_keep_shape_and_type_and_differ_from_each_other():
    torch.manual_seed(0)
    image = torch.randint(0, 256, (1, 40, 40, 3), dtype=torch.uint8).repeat(6, 1, 1, 1)
    changed = augment(image)
    assert changed.shape == image.shape
    assert changed.dtype == torch.uint8
    assert len({tensor.numpy().tobytes() for tensor in changed}) == 6
    # light and crops, but still the same kind of picture
    assert abs(float(changed.float().mean() - image.float().mean())) < 40


class _Told:
    """As much of a Trainer as the callback looks at."""

    sanity_checking = False

    def __init__(self):
        self.current_epoch = 0
        self.callback_metrics = {}


def test_the_weights_of_the_lowest_validation_loss_come_back():
    module = torch.nn.Linear(1, 1)
    trainer = _Told()
    best = BestEpoch()
    states = []
    for epoch, val_loss in enumerate([0.9, 0.4, 0.6]):
        torch.nn.init.constant_(module.weight, epoch)
        states.append(copy.deepcopy(module.state_dict()))
        trainer.current_epoch = epoch
        trainer.callback_metrics = {"val_loss": val_loss}
        best.on_validation_end(trainer, module)
    best.on_fit_end(trainer, module)
    assert best.epoch == 1
    assert module.weight.item() == states[1]["weight"].item()


def test_one_step_learns_and_only_what_requires_a_gradient():
    torch.manual_seed(0)
    cnn = CNN(32)
    cnn.requires_grad_(False)
    network = Network(cnn, make_head(cnn.width, 0, 0.5), ImageSpec(32))
    optimisation = Optimisation(
        lr=1e-3,
        weight_decay=0.0,
        epochs=3,
        patience=3,
        batch_size=4,
        positive_weight=2.0,
        augmented=True,
    )
    [optimizer], [schedule] = FineTuneModule(network, optimisation).configure_optimizers()
    assert (
        sum(p.numel() for group in optimizer.param_groups for p in group["params"]) == cnn.width + 1
    )
    assert schedule.T_max == 3


def test_a_device_that_is_not_there_is_said_in_a_line(enough):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SettingError, match=r"^trainer.accelerator=gpu: .*take trainer=cpu$"):
        train_on(enough, *QUICK["mobilenet"], "trainer=gpu")


def test_the_solved_head_does_not_depend_on_trainer_or_seed(enough):
    """`trainer=smoke` stops a network after two batches of two epochs, but no solver."""
    heads = [
        train_on(enough, *QUICK["mobilenet"], *more).classifier.weights["head.0.weight"]
        for more in ([], ["trainer=smoke"], ["seed=0"])
    ]
    for other in heads[1:]:
        assert np.array_equal(heads[0], other)


def test_smoke_stops_a_network_early(enough):
    trained = train_on(enough, *QUICK["cnn"], "model.epochs=5", "trainer=smoke")
    assert len(trained.epochs) == 2


def test_ctrl_c_in_training_is_no_exit_of_lightnings(enough, monkeypatch):
    def stopped(self, trainer, module):
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(networks._History, "on_train_epoch_end", stopped)
    with pytest.raises(KeyboardInterrupt):
        train_on(enough, *QUICK["cnn"])
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler  # and so does a second
