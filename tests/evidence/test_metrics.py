import pandas as pd
import pytest

from ismila.evidence.metrics import held_out_figures, rates, wilson


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
    assert figures["test_accuracy"] == pytest.approx(accuracy_score(truth, test["probability"] >= 0.5))
    assert figures["test_balanced_accuracy"] == pytest.approx(
        balanced_accuracy_score(truth, test["probability"] >= 0.5)
    )
    assert figures["test_fpr_pets"] == 0.5
