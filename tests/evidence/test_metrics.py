import warnings

import numpy as np
import pandas as pd
import pytest
from recorded import predictions_of
from sklearn.metrics import accuracy_score, balanced_accuracy_score, log_loss, roc_auc_score

from ismila.evidence.intervals import wilson
from ismila.evidence.metrics import (
    auroc,
    auroc_interval,
    calibration_bins,
    calibration_error,
    error_among,
    error_by_chance,
    rates,
    reliability,
    reported,
    reported_figures,
    selection_figures,
    stranger_figures,
    stranger_rates,
)


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
    table = table.assign(threshold=0.5)
    return pd.concat([table.assign(held_out_by=fold) for fold in ("", "val", "test")])


def test_only_what_test_or_crossval_held_out_is_reported():
    assert len(reported(predictions())) == 6
    table = predictions_of(3, 3, 0).assign(held_out_by=["", "val", "test"] + ["crossval 4"] * 3)
    assert reported(table)["held_out_by"].tolist() == ["test"] + ["crossval 4"] * 3


def counts(table, threshold=None):
    return {name: (rate.hits, rate.n) for name, rate in rates(table, threshold).items()}


def test_rates_count_photos():
    assert counts(reported(predictions())) == {
        "recall": (1, 2),
        "recall_closeups": (1, 1),
        "fpr_things": (1, 2),
        "fpr_pets": (1, 2),
        "fpr_cat": (0, 1),
        "fpr_dog": (1, 1),
    }


def test_their_intervals_count_groups():
    table = predictions_of(20, 0, 0).assign(probability=0.9)
    bursts = table.assign(group=[f"g{at // 4}" for at in range(20)])
    alone = rates(table)["recall"]
    assert rates(table.drop(columns="group"))["recall"] == alone
    assert (alone.n, alone.groups) == (20, 20)
    assert rates(bursts)["recall"].groups == 5
    assert rates(bursts)["recall"].low == pytest.approx(wilson(1, 5)[0])
    assert reported_figures(bursts)["test_recall"] == 1


def test_a_stranger_is_a_group_of_its_own():
    kinds = ["dog", "dog", "cat", "things"]
    table = pd.DataFrame({"kind": kinds, "probability": [0.9, 0.1, 0.1, 0.9], "threshold": 0.5})
    rate = stranger_rates(table)["fpr_strangers"]
    assert (rate.hits, rate.n, rate.groups) == (1, 3, 3)
    assert (rate.low, rate.high) == wilson(1 / 3, 3)
    assert stranger_rates(None) == {}


FAR = [
    # label, closeup, subject_share, probability
    ("subject", False, 0.05, 0.9),
    ("subject", False, 0.05, 0.9),
    ("subject", False, np.nan, 0.1),  # no animal was found in it
    ("subject", False, np.nan, 0.1),
    ("subject", False, 0.5, 0.1),
    ("subject", True, np.nan, 0.9),  # none was found, since she fills it: labels.csv says so
    ("things", False, np.nan, 0.9),
]


def test_far_is_also_where_no_animal_was_found():
    table = pd.DataFrame(FAR, columns=["label", "closeup", "subject_share", "probability"])
    table = table.assign(kind=table["label"], threshold=0.5)
    assert counts(table)["recall_far"] == (2, 4)  # not 2 of 2
    assert counts(table)["recall_closeups"] == (1, 1)
    assert "recall_far" not in rates(table.drop(columns="subject_share"))  # an older run's
    assert counts(table.assign(subject_share=0.9))["recall_far"] == (0, 0)
    assert reported_figures(table.assign(held_out_by="test"))["test_recall_far"] == 0.5


def test_strangers_are_counted_by_kind():
    kinds = ["dog", "dog", "cat", "things"]
    table = pd.DataFrame({"kind": kinds, "probability": [0.9, 0.1, 0.1, 0.9], "threshold": 0.5})
    assert stranger_figures(table) == {
        "test_fpr_strangers": 1 / 3,
        "test_fpr_strangers_dog": 0.5,
        "test_fpr_strangers_cat": 0.0,
        "test_fpr_strangers_things": 1.0,
    }
    assert stranger_figures(None) == {}


def test_each_row_is_judged_by_its_own_threshold():
    table = reported(predictions()).assign(threshold=[0.95, 0.1, 0.7, 0.05, 0.8, 0.2])
    assert counts(table)["recall"] == (1, 2)
    assert [counts(table)[f"fpr_{name}"] for name in ("things", "dog", "cat")] == [
        (1, 2),
        (0, 1),
        (1, 1),
    ]
    assert counts(table, threshold=0.5) == counts(reported(predictions()))
    assert reported_figures(table.assign(held_out_by="crossval 0"))["test_accuracy"] == 3 / 6


def test_figures_are_those_of_scikit_learn():
    test = reported(predictions())
    truth = test["label"] == "subject"
    taken = test["probability"] >= 0.5
    figures = reported_figures(predictions())
    assert figures["test_auroc"] == pytest.approx(roc_auc_score(truth, test["probability"]))
    assert figures["test_accuracy"] == pytest.approx(accuracy_score(truth, taken))
    assert figures["test_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(truth, taken))
    assert figures["test_fpr_pets"] == 0.5


@pytest.mark.parametrize("subject", [0, 1, 2, 12])
def test_small_and_lopsided_tables_give_figures_or_none_at_all(subject):
    for things in (0, 1, 3, 12):
        for pets in (0, 1, 12):
            table = predictions_of(subject, things, pets)
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                figures = reported_figures(table) | selection_figures(table)
                believed = reliability(table)
            assert all(np.isfinite(value) for value in figures.values())
            assert ("test_recall" in figures) == (subject > 0)
            assert ("test_fpr_things" in figures) == (things > 0)
            assert ("test_fpr_pets" in figures) == (pets > 0)
            both = subject > 0 and things + pets > 0
            assert {"test_auroc", "test_balanced_accuracy", "select_loss"} <= set(
                figures
            ) or not both
            assert sum(one.n for one in believed) == len(table)
    assert reported_figures(predictions_of(3, 3, 3, held_out_by="val")) == {}


def test_the_auroc_of_a_handful_has_an_interval_or_none():
    for subject, things in ((0, 0), (1, 0), (0, 3), (1, 1), (2, 1)):
        table = predictions_of(subject, things, 0)
        interval = auroc_interval([table], 100)
        assert np.isfinite(interval).all() == (subject > 0 and things > 0)
    assert not np.isfinite(auroc_interval([])).any()


def selection(subject, things, pets):
    label = ["subject"] * len(subject) + ["things"] * len(things) + ["pets"] * len(pets)
    return pd.DataFrame({"label": label, "kind": label, "probability": [*subject, *things, *pets]})


def test_the_loss_tells_good_from_better_where_the_ranking_is_perfect():
    good = selection_figures(selection([0.7, 0.8], [0.1, 0.2], [0.3]))
    better = selection_figures(selection([0.9, 0.95], [0.05, 0.1], [0.1]))
    assert good["select_auroc"] == better["select_auroc"] == 1
    assert better["select_loss"] < good["select_loss"]


def test_sides_weigh_a_half_and_a_quarter_each_however_many_photos_they_have():
    p = {"subject": [0.9] * 3, "things": [0.2] * 50, "pets": [0.4] * 2}
    loss = selection_figures(selection(**p))["select_loss"]
    expected = -np.log(0.9) / 2 - np.log(0.8) / 4 - np.log(0.6) / 4
    assert loss == pytest.approx(expected)
    weights = np.repeat([0.5 / 3, 0.25 / 50, 0.25 / 2], [3, 50, 2])
    truth = np.repeat([1, 0, 0], [3, 50, 2])
    flat = np.concatenate(list(p.values()))
    assert loss == pytest.approx(log_loss(truth, flat, sample_weight=weights))
    without = selection_figures(selection(p["subject"], p["things"], []))["select_loss"]
    assert without == pytest.approx(-np.log(0.9) / 2 - np.log(0.8) / 2)


def test_one_animal_that_is_surely_the_subject_costs_more_than_many_unsure_ones():
    sure = selection([0.95] * 5, [0.05] * 5, [0.999] + [0.05] * 19)
    unsure = selection([0.95] * 5, [0.05] * 5, [0.2] * 20)
    assert selection_figures(sure)["select_loss"] > selection_figures(unsure)["select_loss"]


def test_a_sure_mistake_is_dear_but_finite_and_one_side_alone_gives_no_figure():
    assert selection_figures(selection([0.0], [1.0], []))["select_loss"] == pytest.approx(
        -np.log(1e-7), rel=1e-6
    )
    assert selection_figures(selection([0.9], [], [])) == {}
    assert selection_figures(selection([], [0.9], [0.1])) == {}
    assert selection_figures(selection([], [], [])) == {}


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
    once = auroc_interval([drawn(80)], 300)
    copied = auroc_interval([drawn(80, copies=5)], 300)
    assert once[0] < auroc(drawn(80)) < once[1]
    assert copied[1] - copied[0] == pytest.approx(once[1] - once[0], abs=0.03)


def test_calibration_against_a_count_by_hand():
    """Three photos of the subject count half of all together, two of things the other half."""
    p = [0.05, 0.05, 0.95, 0.95, 1.0]
    label = ["things", "subject", "subject", "subject", "things"]
    table = pd.DataFrame({"probability": p, "label": label})
    bins = calibration_bins(table)
    assert bins["n"].tolist() == [2, 3]
    assert bins["rate"].tolist() == pytest.approx([(1 / 6) / (5 / 12), (1 / 3) / (7 / 12)])
    low = abs(5 / 12 * 0.05 - 1 / 6)
    high = abs(1 / 3 * 0.95 + 1 / 4 - 1 / 3)
    assert calibration_error(table) == pytest.approx(low + high)


def of_prior(n, seed=0):
    """Photos whose probabilities are true where one of two is the subject's, in an album of far more others."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, 40 * n)
    p = 1 / (1 + np.exp(-logits))
    truth = rng.random(len(p)) < p
    hers = p[truth][:n]
    others = p[~truth][: 10 * n]
    label = ["subject"] * len(hers) + ["things"] * len(others)
    return pd.DataFrame({"label": label, "probability": np.r_[hers, others]})


def test_the_calibration_error_is_that_of_the_stated_prior_not_of_the_albums_mix():
    """Counted photo by photo, the old error of these true probabilities was .25."""
    assert calibration_error(of_prior(4000)) < 0.02


def test_what_chance_shows_on_few_photos_is_known():
    errors = [calibration_error(of_prior(12, seed)) for seed in range(100)]
    by_chance = np.mean([error_by_chance(of_prior(12, seed)) for seed in range(10)])
    assert np.mean(errors) == pytest.approx(by_chance, rel=0.15)
    assert by_chance > 0.08
    assert error_by_chance(of_prior(4000), draws=10) < 0.02
    assert np.isnan(error_by_chance(of_prior(12).query("label == 'things'")))


def test_reliability_shows_the_kind_that_the_whole_hides():
    table = predictions_of(20, 100, 10)
    sides = {"subject": 0.97, "things": 0.01}
    table["probability"] = table["label"].map(sides).fillna(0.02)
    table.loc[table["kind"] == "goat", "probability"] = 0.98
    table.loc[0, "probability"] = 0.05
    by_kind = {one.kind: one for one in reliability(table)}
    assert list(by_kind) == ["subject", "things", "dog", "goat"]
    assert (by_kind["goat"].sure_and_wrong, by_kind["goat"].taken) == (1, 1)
    assert by_kind["goat"].error == pytest.approx(0.5, abs=0.05)
    assert (by_kind["dog"].sure_and_wrong, by_kind["things"].sure_and_wrong) == (0, 0)
    assert by_kind["subject"].sure_and_wrong == 1 / 20
    assert by_kind["subject"].error is None
    assert calibration_error(table) < by_kind["goat"].error / 2  # what the whole says of goats


def test_both_sides_weigh_alike_in_the_error_of_a_label():
    table = predictions_of(2, 200, 0)
    subject = table[table["label"] == "subject"].assign(probability=0.95)
    things = table[table["label"] == "things"].assign(probability=0.15)
    assert error_among(subject, things) == pytest.approx(0.05 / 2 + 0.15 / 2)
    assert error_among(subject, things.iloc[:0]) is None
