import numpy as np
import pytest
from conftest import settings
from test_dataset import index, rows

from ismila.learning.dataset import album_rows
from ismila.learning.features import Features
from ismila.learning.linear import CROSS_VALIDATED_BELOW, LinearRun, is_few, threshold_rule
from ismila.photos.images import ImageSpec
from ismila.vision.views import Viewer


class Encoder:
    digest = "drawn"
    dtype = "<f4"
    shape = (40,)


def run_on(tmp_path, table, *overrides):
    """A run on features that tell the subject from the others, hardly."""
    chosen = settings("model=mobilenet", *overrides)
    features = Features(tmp_path, Viewer(ImageSpec(32)), Encoder())
    rng = np.random.default_rng(0)
    x = rng.gamma(2, 1, (len(table), 40)) + 0.5 * (table["label"] == "subject").to_numpy()[:, None]
    features.store.add([(sha, 0) for sha in table["sha256"]], list(x.astype(np.float32)))
    return LinearRun(album_rows(table, chosen.data, 0), features, chosen.model, chosen)


def test_few_is_counted_alike_for_every_variant():
    table = index(CROSS_VALIDATED_BELOW, 40)
    assert not is_few(rows("data=base", table=table))
    assert not is_few(rows("data=closeups", table=table))
    assert is_few(rows("data=pets", table=index(CROSS_VALIDATED_BELOW - 1, 40)))


def test_without_animals_the_threshold_does_not_follow_easy_negatives():
    assert threshold_rule(settings("data=base")).easy
    assert not threshold_rule(settings("data=pets")).easy


def test_the_kept_head_of_a_cross_validated_run_is_fitted_to_all_that_trains(tmp_path):
    run = run_on(tmp_path, index(12, 40, 10), "data=base")
    outcome = run.outcome()
    assert outcome.protocol == "crossval"
    assert outcome.answers.used.sum() == 52
    assert (outcome.answers.held_out_by != "").all()
    # animals take no part in training, but each is asked by heads that its group had no part in
    assert set(outcome.selection["label"]) == {"subject", "things", "pets"}


def test_the_reported_answers_of_cross_validation_choose_no_decision(tmp_path):
    """Each fold's decision must stay when the labels of its own rows are swapped."""
    table = index(12, 40, 10)
    before = run_on(tmp_path / "a", table, "data=pets").outcome().answers
    held_out = before.held_out_by == "crossval 0"
    by_sha = table.sort_values("sha256").reset_index(drop=True)
    swapped = by_sha.copy()
    of_subject = (by_sha["label"] == "subject") & held_out
    swapped.loc[of_subject, ["label", "kind"]] = ["things", "things"]
    run = run_on(tmp_path / "a", by_sha, "data=pets")
    twisted = album_rows(swapped, run.settings.data, 0)
    from ismila.learning.crossval import splits
    from ismila.learning.linear import _fold

    examples = run.rows.examples(run.features, 1)
    coordinates = examples.few_coordinates()
    [(_, out), *_] = list(splits(examples, 0))
    fold = _fold(run, examples.on(coordinates), out)
    twisted_few = twisted.examples(run.features, 1).on(coordinates)
    again = _fold(LinearRun(twisted, run.features, run.model, run.settings), twisted_few, out)
    assert np.allclose(fold.logits, again.logits, atol=1e-5)
    assert again.decision.threshold == pytest.approx(fold.decision.threshold, abs=1e-5)
