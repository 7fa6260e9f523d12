from dataclasses import replace

import numpy as np
import pytest

from ismila.learning.crossval import Examples, group_folds, most_similar, out_of_fold, splits
from ismila.learning.heads import Penalty, fit_head, whitening_of

PENALTY = Penalty(0.02, 5, True)


def without_views(x, *columns):
    """Examples whose images have no further views, and which are no units."""
    return Examples(x, *columns, np.zeros(len(x)), x[:0], np.zeros(0, np.int64))


def drawn(n_subject, n_things, n_pets=0, seed=0, per_group=1):
    """Examples whose 30 features tell the sides apart; animals take no part in training."""
    rng = np.random.default_rng(seed)
    stratum = np.array(
        ["subject"] * n_subject + ["things"] * n_things + ["pets/dog"] * n_pets, object
    )
    x = rng.gamma(2, 1, (len(stratum), 30)).astype(np.float32)
    x += (stratum == "subject")[:, None].astype(np.float32)
    group = np.array([f"g{i // per_group}" for i in range(len(stratum))], object)
    trains = np.asarray(stratum != "pets/dog")
    return without_views(
        x, stratum, group, trains, trains, np.arange(len(stratum)), trains | True, trains | True
    )


def test_a_group_is_never_on_both_sides_and_every_row_is_held_out():
    examples = drawn(20, 60, 40, per_group=2)
    fold = group_folds(examples.stratum, examples.group, examples.trains, 0)
    assert set(fold) == {0, 1, 2, 3, 4}
    for name in set(examples.group):
        assert len(set(fold[examples.group == name])) == 1
    assert out_of_fold(examples, PENALTY, 0).known.all()


def test_a_row_that_does_not_train_is_held_out_with_its_burst_mates():
    examples = drawn(20, 60)
    twin = examples.x[:1].copy()  # of a photo of the subject, but it takes no part
    with_twin = without_views(
        np.concatenate([examples.x, twin]),
        np.append(examples.stratum, "subject"),
        np.append(examples.group, "g0"),
        np.append(examples.trains, False),
        np.append(examples.in_variant, False),
        np.arange(len(examples) + 1),
        np.append(examples.asked, True),
        np.append(examples.labelled, True),
    )
    logits = out_of_fold(with_twin, PENALTY, 0).logits
    assert logits[-1] == pytest.approx(logits[0], abs=1e-4)


def test_three_photos_of_the_subject_are_each_held_out_once():
    for seed in range(20):
        examples = drawn(3, 12, seed=seed)
        fold = group_folds(examples.stratum, examples.group, examples.trains, seed)
        assert sorted(fold[:3]) == [0, 1, 2]


def test_the_order_of_rows_changes_nothing():
    examples = drawn(12, 40)
    shuffled = np.random.default_rng(1).permutation(52)
    fold = group_folds(examples.stratum, examples.group, examples.trains, 3)
    again = examples[shuffled]
    assert (group_folds(again.stratum, again.group, again.trains, 3) == fold[shuffled]).all()


def test_all_of_the_subject_in_one_burst_is_held_out_by_nobody():
    examples = drawn(4, 20)
    examples.group[:4] = "burst"
    out = out_of_fold(examples, PENALTY, 0)
    assert not out.known[:4].any()
    assert out.known[4:].all()


@pytest.mark.parametrize("sides", [(1, 1), (1, 3), (3, 1), (2, 2), (0, 4), (12, 12)])
def test_small_and_lopsided_sides_raise_nothing(sides):
    examples = drawn(*sides)
    out = out_of_fold(examples, PENALTY, 0)
    assert np.isfinite(out.logits[out.known]).all()
    assert all(examples[~rows].can_train for _, rows in splits(examples, 0))


def test_a_head_that_saw_the_row_would_be_surer():
    rng = np.random.default_rng(0)
    noise = drawn(20, 20)
    x = rng.normal(size=(40, 60)).astype(np.float32)
    noise = replace(noise, x=x, also=x[:0])
    out = out_of_fold(noise, PENALTY, 0)
    right = (out.logits > 0) == noise.is_subject
    assert (
        right.mean() < 0.75
    )  # nothing to learn: answers of heads that saw the rows would be all right


def herd(n_alone, n_with_another, seed=0):
    """Photos of the subject, some with another animal that stands first in its photo."""
    rng = np.random.default_rng(seed)
    she = rng.normal(size=40)
    alone = she + rng.normal(size=(n_alone, 40)) / 3
    pairs = [
        row
        for _ in range(n_with_another)
        for row in (rng.normal(size=40), she + rng.normal(size=40) / 3)
    ]
    x = np.concatenate([alone, *[row[None] for row in pairs]]).astype(np.float32)
    photo = np.r_[np.arange(n_alone), n_alone + np.repeat(np.arange(n_with_another), 2)]
    return x, photo


@pytest.mark.parametrize(("n_alone", "n_with_another"), [(8, 5), (2, 10), (0, 9), (6, 0)])
def test_of_several_animals_the_one_that_all_photos_share_is_taken(n_alone, n_with_another):
    x, photo = herd(n_alone, n_with_another)
    taken = most_similar(x, photo)
    assert taken.sum() == n_alone + n_with_another
    if n_alone:
        assert taken.tolist() == [True] * n_alone + [False, True] * n_with_another


def test_another_animal_in_her_photo_is_nobodys_label():
    x, photo = herd(8, 5)
    n = len(photo)
    other = without_views(
        np.concatenate([x, -x]),
        np.array(["subject"] * n + ["pets/dog"] * n, object),
        np.array([f"g{number}" for number in np.r_[photo, photo + 100]], object),
        np.ones(2 * n, bool),
        np.ones(2 * n, bool),
        np.r_[photo, photo + 100],
        np.ones(2 * n, bool),
        np.ones(2 * n, bool),
    )
    rows, is_subject = other.training()
    assert (is_subject.sum(), (~is_subject).sum()) == (13, n)
    assert len(rows) == 13 + n


def test_a_photo_is_answered_by_its_best_row():
    x, photo = herd(3, 2)
    examples = without_views(
        x,
        *[np.array(["subject"] * 7, object)] * 2,
        *[np.ones(7, bool)] * 2,
        photo,
        np.arange(7) != 6,
        np.arange(7) != 3,
    )
    # the last row is what a person's box cut out: whoever asks about the photo has no such box
    assert examples.by_photo(np.arange(7, dtype=np.float32)).tolist() == [0, 1, 2, 4, 5]


def test_the_animal_that_a_person_named_is_the_one_that_trains():
    x, photo = herd(8, 2)
    labelled = np.ones(len(photo), bool)
    labelled[9] = False  # in the first pair: the other one is she
    one_side = [np.array(["subject"] * 12, object)] * 2
    examples = without_views(
        x, *one_side, *[np.ones(12, bool)] * 2, photo, np.ones(12, bool), labelled
    )
    rows, is_subject = examples.training()
    assert is_subject.sum() == 10
    assert (rows[8] == x[8]).all() and not (rows[:, None] == x[9]).all(2).any()
    assert (examples[photo >= 8] + examples).labelled.tolist() == [
        True, False, True, True, *labelled.tolist()
    ]  # fmt: skip


@pytest.fixture
def seen_twice():
    """Three photos, the second of two animals; all images of the last two have a view more, in another order."""
    examples = drawn(3, 1, seed=4)[np.array([0, 1, 1, 2, 3])]
    x = (
        examples.x * np.array([1, -1, 1, 1, 1], np.float32)[:, None]
    )  # the first of the two is not she
    also_of = np.array([4, 2, 3, 1])
    photo = np.array([0, 1, 1, 2, 3])
    return replace(examples, x=x, photo=photo, also=x[also_of] + 100, also_of=also_of)


def test_further_views_train_beside_their_images(seen_twice):
    x, is_subject = replace(seen_twice, photo=np.arange(5)).training()
    assert (x[:5] == seen_twice.x).all()
    assert (x[5:] == seen_twice.x[[4, 2, 3, 1]] + 100).all()
    assert is_subject.tolist() == [True, True, True, True, False, False, True, True, True]


def test_further_views_of_an_animal_that_is_not_she_train_no_more_than_it_does(seen_twice):
    x, is_subject = seen_twice.training()
    assert is_subject.tolist() == [True, True, True, False, False, True, True]
    assert (x[1] == seen_twice.x[2]).all()
    assert (x[5] == x[1] + 100).all()


def test_further_views_go_where_their_images_go(seen_twice):
    """Chosen, in another order, and one after the other."""
    some = seen_twice[np.array([3, 2])]
    assert (some.also == some.x[some.also_of] + 100).all()
    assert some.also_of.tolist() == [1, 0]
    both = some + seen_twice
    assert (both.also == both.x[both.also_of] + 100).all()
    assert len(both.also) == 6
    none = seen_twice[np.array([True, False, False, False, False])]
    assert none.also.shape == (0, 30)


def test_few_coordinates_keep_what_lies_between_images_and_views(seen_twice):
    few = seen_twice.on(seen_twice.few_coordinates())
    expected = seen_twice.x[:, None] - seen_twice.also[None]
    found = few.x[:, None] - few.also[None]
    assert np.allclose((found**2).sum(2), (expected**2).sum(2), rtol=1e-5)


def test_nobody_is_asked_about_further_views(seen_twice):
    """A head may train on them, but the photos' answers are those of the images."""
    twisted = replace(seen_twice, also=seen_twice.also * np.nan)
    assert twisted.by_photo(np.arange(5, dtype=np.float32)).tolist() == [0, 2, 3, 4]


def test_who_the_units_were_made_of_is_answered_as_one_who_was_never_seen():
    """Without the leverage their answers lay near their mean, and three times as many others passed."""
    rng = np.random.default_rng(0)
    spread = rng.gamma(1, 1, 150)
    strangers, others = (rng.normal(size=(n, 150)) * spread for n in (500, 5000))
    hers = rng.normal(size=(12, 150)) * spread + spread * rng.normal(size=150) * 0.5
    units = whitening_of(strangers, np.zeros(500, bool), 0.1)
    x = units(np.concatenate([hers, strangers]))
    stratum = np.array(["subject"] * 12 + ["pets/dog"] * 500, object)
    group = np.array([f"g{at}" for at in range(512)], object)
    every = np.ones(512, bool)
    unaware = without_views(x, stratum, group, every, every, np.arange(512), every, every)
    leverage = np.append(np.zeros(12), np.square(x[12:]).sum(1) / 500)
    penalty = Penalty(0.2, None, True)
    head = fit_head(x, unaware.is_subject, penalty)
    asked = head(units(others))
    assert leverage[12:].min() > 0 and leverage.max() < 1

    def passing(examples):
        """Of the others, where one of a hundred strangers passes out of fold."""
        logits = out_of_fold(examples, penalty, 0).logits
        return np.mean(asked > np.quantile(logits[12:], 0.99))

    assert passing(replace(unaware, leverage=leverage)) == pytest.approx(0.01, abs=0.006)
    assert passing(unaware) > 0.03


def test_rows_that_made_no_units_are_answered_as_ever():
    examples = drawn(20, 60)
    head = fit_head(*examples.training(), PENALTY)
    rows = np.arange(80) < 50
    assert (examples.answered_without(rows, head) == head(examples.x)[rows]).all()
    aware = replace(examples, leverage=np.where(np.arange(80) < 20, 0.0, 0.2))
    answers = aware.answered_without(rows, head)
    assert (answers[:20] == head(examples.x)[:20]).all()
    assert (answers[20:] != head(examples.x)[20:50]).all()
