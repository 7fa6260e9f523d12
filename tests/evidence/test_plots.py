import pytest
from recorded import predictions_of

from ismila.evidence.plots import run_plots

EPOCHS = [
    {"loss": 0.5, "accuracy": 0.7, "val_loss": 0.6, "val_accuracy": 0.6},
    {"loss": 0.4, "accuracy": 0.8, "val_loss": 0.5, "val_accuracy": 0.7},
]


def test_curves_and_probabilities_are_drawn():
    plots = run_plots(EPOCHS, predictions_of(5, 5, 5))
    assert set(plots) == {"curves", "probabilities"}
    loss, accuracy = plots["curves"].axes
    assert [line.get_label() for line in loss.lines] == ["train", "validation"]
    assert accuracy.get_ylabel() == "accuracy"
    [axis] = plots["probabilities"].axes
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["subject (5)", "dog (2)", "goat (3)", "things (5)"]


def test_every_threshold_of_a_cross_validation_is_drawn():
    table = predictions_of(2, 2, 0).assign(threshold=[0.3, 0.4, 0.6, 0.6])
    [axis] = run_plots([], table)["probabilities"].axes
    assert sorted(line.get_xdata()[0] for line in axis.lines) == [0.3, 0.4, 0.6]
    assert axis.texts[0].get_text() == "threshold 0.30 to 0.60"


@pytest.mark.parametrize("epochs", [[], EPOCHS[:1], [{"loss": 0.1}]])
def test_what_would_show_nothing_is_left_out(epochs):
    plots = run_plots(epochs, predictions_of(3, 3, 3, held_out_by="val"))
    assert set(plots) == ({"curves"} if epochs else set())
    for figure in plots.values():
        figure.canvas.draw()
