import numpy as np
import pandas as pd
import pytest

from ismila.evidence.metrics import (
    auroc,
    auroc_interval,
    calibration,
    held_out_figures,
    rates,
    wilson,
)


def test_wilson_against_published_values():
    low, high = wilson(81, 263)  # Newcombe 1998, table I
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(0, 20)[0] == 0


def predictions():
    rows = [
        ("subject", "mila", True, 0.9),
        ("subject", "mila", False, 0.2),
        ("things", "things", False, 0.6),
        ("things", "things", False, 0.1),
        ("pets", "dog", False, 0.7),
        ("pets", "cat", False, 0.3),
    ]
    table = pd.DataFrame(rows, columns=["label", "kind", "closeup", "probability"])
    return pd.concat([table.assign(fold=fold, held_out=fold == "test") for fold in ("val", "test")])


def test_rates_count_photos():
    test = predictions().query("fold == 'test'")
    assert rates(test, 0.5) == {
        "recall": (1, 2),
        "recall_closeups": (1, 1),
        "fpr_things": (1, 2),
        "fpr_pets": (1, 2),
        "fpr_cat": (0, 1),
        "fpr_dog": (1, 1),
    }


def test_figures_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, roc_auc_score

    table = predictions()
    test = table[table["fold"] == "test"]
    truth = test["label"] == "subject"
    figures = held_out_figures(table, 0.5)
    assert figures["test_auroc"] == pytest.approx(roc_auc_score(truth, test["probability"]))
    assert figures["test_accuracy"] == pytest.approx(
        accuracy_score(truth, test["probability"] >= 0.5)
    )
    assert figures["test_balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth, test["probability"] >= 0.5)
    )
    assert figures["test_fpr_pets"] == 0.5


def drawn(n, copies=1):
    rng = np.random.default_rng(0)
    is_subject = rng.random(n) < 0.4
    p = np.clip(rng.normal(0.35 + 0.3 * is_subject, 0.2), 0, 1)
    table = pd.DataFrame(
        {
            "label": np.where(is_subject, "subject", "things"),
            "probability": p,
            "group": np.arange(n),
        }
    )
    return pd.concat([table] * copies)


def test_the_interval_of_the_auroc_knows_that_copies_are_no_evidence():
    once, copied = auroc_interval([drawn(80)], 300), auroc_interval([drawn(80, copies=5)], 300)
    assert once[0] < auroc(drawn(80)) < once[1]
    assert copied[1] - copied[0] == pytest.approx(once[1] - once[0], abs=0.03)


def test_calibration_against_a_count_by_hand():
    p = [0.05, 0.05, 0.95, 0.95, 1.0]
    label = ["things", "subject", "subject", "subject", "things"]
    error, bins = calibration(pd.DataFrame({"probability": p, "label": label}))
    assert bins["n"].tolist() == [2, 3]
    assert error == pytest.approx(2 / 5 * abs(0.05 - 0.5) + 3 / 5 * abs(2.9 / 3 - 2 / 3))
