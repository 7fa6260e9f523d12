import numpy as np
import pandas as pd
import pytest
from recorded import trained_of

from ismila.evidence.results import results_of
from ismila.photos.images import ImageSpec
from ismila.vision.architecture import Architecture
from ismila.vision.classifier import Classifier
from ismila.vision.decision import Calibration, Decision


def trained(held_out_by="test"):
    n = 12
    label = np.where(np.arange(n) % 3 == 0, "subject", "things")
    table = pd.DataFrame({"label": label, "kind": label, "fold": "test"})
    table["path"] = [f"{i}.jpg" for i in range(n)]
    table["sha256"] = table["path"]
    table["group"] = table["path"]
    table["closeup"] = False
    table["probability"] = np.where(label == "subject", 0.9, 0.1)
    table["threshold"] = 0.5
    table["held_out_by"] = held_out_by
    table["used"] = False
    decision = Decision(0.5, Calibration(2.0, 0.25))
    classifier = Classifier({}, Architecture(name="cnn"), ImageSpec(32), "mila", decision)
    epochs = [{"loss": 0.5, "accuracy": 0.7, "timestamp_ms": 1.0}]
    return trained_of(classifier, table, epochs)


def test_a_run_keeps_figures_of_reported_and_of_choosing_rows_and_the_classifier_gets_them():
    run = trained()
    results = results_of(run, 2.0, "seed: 0", "digest")
    assert results.figures["test_recall"] == 1
    assert results.figures["photos_per_second"] == 6
    assert results.figures["select_loss"] == pytest.approx(-np.log(0.9))
    assert results.figures["temperature"] == 2
    assert results.figures["calibration_bias"] == 0.25
    assert run.classifier.scores["loss"] == 0.5
    assert "timestamp_ms" not in run.classifier.scores
    assert results.summary.startswith("Recognises 4 of 4")
    assert set(results.plots) == {"curves", "probabilities"}


def test_the_sentence_advises_nothing_that_was_done():
    run = trained()
    run.strangers = pd.DataFrame({"kind": "dog", "probability": [0.9] * 20, "threshold": 0.5})
    assert "`data=strangers`" in results_of(run, 2.0, "", "").summary
    assert "strangers`" not in results_of(run, 2.0, "", "", trained_on_strangers=True).summary


def test_without_a_reported_row_there_is_no_test_figure():
    results = results_of(trained(held_out_by=""), 2.0, "", "")
    assert not [name for name in results.figures if name.startswith("test_")]
    assert "held out" in results.summary
