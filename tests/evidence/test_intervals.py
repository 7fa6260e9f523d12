import numpy as np
import pytest

from ismila.evidence.intervals import (
    DOUBT_GROUPS,
    change_interval,
    mean_interval,
    rate_of,
    rate_of_counts,
    wilson,
)

BURSTS = (4,)
MIXED = (1, 8, 2, 4, 1, 6, 3, 5, 1, 7)
AROUND = {0.5: (0.4, 0.6), 0.8: (0.72, 0.88), 0.95: (0.9, 0.99)}
"""Rates are drawn around a middle: of a single one the coverage jumps with each group (Brown, Cai and DasGupta 2001,
https://doi.org/10.1214/ss/1009213286)."""


def albums(sizes, n_groups, middle, alike, n=400):
    """Made-up albums: their rate, and what is right of each photo; the correlation within a group is `alike`."""
    rng = np.random.default_rng([len(sizes), n_groups, round(100 * middle), round(100 * alike)])
    groups = np.repeat(np.arange(n_groups), np.resize(sizes, n_groups))
    for rate in rng.uniform(*AROUND[middle], n):
        how_easy = rate
        if alike == 1:
            how_easy = (rng.random(n_groups) < rate)[groups]
        elif alike:
            strength = (1 - alike) / alike
            how_easy = rng.beta(rate * strength, (1 - rate) * strength, n_groups)[groups]
        yield rate, rng.random(len(groups)) < how_easy, groups


def coverage(sizes, n_groups, middle, alike, interval):
    covers = []
    for rate, right, groups in albums(sizes, n_groups, middle, alike):
        low, high = interval(right, groups)
        covers.append(low <= rate <= high)
    return float(np.mean(covers))


def by_groups(right, groups):
    rate = rate_of(right, groups)
    return rate.low, rate.high


def over_photos(right, groups):
    return wilson(right.mean(), len(right))


def mean_coverage(interval, sizes, middles=tuple(AROUND), n_groups=(6, 10, 20, 40)):
    return np.mean(
        [
            coverage(sizes, n, middle, alike, interval)
            for n in n_groups
            for middle in middles
            for alike in (0.5, 0.75, 1)
        ]
    )


@pytest.mark.parametrize("sizes", [BURSTS, MIXED], ids=["bursts of four", "of one to eight"])
@pytest.mark.parametrize("middle", AROUND)
def test_an_interval_covers_as_often_as_it_says(sizes, middle):
    assert 0.93 <= mean_coverage(by_groups, sizes, [middle]) <= 0.97
    assert mean_coverage(over_photos, sizes, [middle]) < 0.85


@pytest.mark.parametrize("sizes", [BURSTS, MIXED], ids=["bursts of four", "of one to eight"])
@pytest.mark.parametrize("n_groups", [4, 6, 10, 40])
def test_it_does_so_with_few_groups_and_with_many(sizes, n_groups):
    assert 0.93 <= mean_coverage(by_groups, sizes, n_groups=[n_groups]) <= 0.97


def test_photos_that_have_nothing_to_do_with_each_other_cost_little():
    covered = [coverage(BURSTS, n, 0.8, 0, by_groups) for n in (20, 40)]
    assert 0.94 <= np.mean(covered) <= 0.98
    alone = [coverage((1,), n, middle, 0, by_groups) for n in (10, 40) for middle in AROUND]
    assert 0.94 <= np.mean(alone) <= 0.97


def test_each_photo_its_own_group_is_wilsons_published_interval():
    right = np.arange(263) < 81
    rate = rate_of(right)  # Newcombe 1998, table I
    assert (round(rate.low, 4), round(rate.high, 4)) == (0.2553, 0.3662)
    assert (rate.hits, rate.n, rate.groups) == (81, 263, 263)
    assert rate_of(right, [f"g{at}" for at in range(263)]) == rate


def test_where_all_are_right_or_none_groups_count_and_not_photos():
    groups = np.repeat(np.arange(5), 8)
    assert by_groups(np.ones(40), groups) == pytest.approx(wilson(1, 5))
    assert by_groups(np.zeros(40), groups) == pytest.approx(wilson(0, 5))
    assert by_groups(np.ones(40), np.zeros(40)) == pytest.approx(wilson(1, 1))
    # one that is wrong beside three of its burst that are right says something, but not much
    one_wrong = by_groups(np.arange(40) > 0, groups)
    assert one_wrong[0] < wilson(39 / 40, 40)[0]
    assert one_wrong[1] < 1


def test_no_photo_says_nothing():
    rate = rate_of([])
    assert (rate.n, rate.groups, rate.low, rate.high) == (0, 0, 0, 1)
    assert np.isnan(rate.value)
    assert change_interval(*[np.zeros(0)] * 4) == (-1, 1)


def test_an_interval_lies_around_its_rate_and_copies_do_not_narrow_it():
    rng = np.random.default_rng(0)
    for _ in range(200):
        n = rng.integers(1, 30)
        right = rng.random(n) < rng.random()
        groups = rng.integers(0, rng.integers(1, n + 1), n)
        rate = rate_of(right, groups)
        assert 0 <= rate.low <= rate.value <= rate.high <= 1
        assert rate.high - rate.low >= np.diff(wilson(rate.value, n))[0] - 1e-9
    right = rng.random(30) < 0.7
    once, copied = rate_of(right), rate_of(np.repeat(right, 5), np.repeat(np.arange(30), 5))
    assert (copied.low, copied.high) == pytest.approx((once.low, once.high), abs=0.01)


def test_a_weight_is_what_a_photo_counts():
    values = np.array([1.0, 0.0, 1.0, 1.0])
    groups = np.arange(4)
    twice = mean_interval(values, np.full(4, 2.0), groups)
    assert twice == pytest.approx(mean_interval(values, np.ones(4), groups))
    rounded = mean_interval(values, np.array([0.1, 0.3, 0.7, 1 / 3]), groups)
    assert 0 < rounded[0] < rounded[1] <= 1  # sums of squares that differ by their rounding alone
    uneven = mean_interval(values, np.array([9.0, 1.0, 1.0, 1.0]), groups)
    assert np.diff(uneven)[0] > np.diff(twice)[0]


def test_what_is_known_by_its_count_alone_counts_as_its_groups():
    rate = rate_of_counts(30, 40, 10)
    assert (rate.hits, rate.n, rate.groups) == (30, 40, 10)
    assert (rate.low, rate.high) == wilson(0.75, 10)
    assert rate_of_counts(2, 3, 10).groups == 3
    assert (rate_of_counts(0, 0, 4).low, rate_of_counts(0, 0, 4).high) == (0, 1)


def seen_by_seeds(n_groups, rate, rng, seeds=5):
    """Albums whose bursts are held out by some of the seeds each, and answered much alike by all."""
    groups = np.repeat(np.arange(n_groups), 4)
    how_easy = rng.beta(rate / 2, (1 - rate) / 2, n_groups)[groups]
    right = rng.random((seeds, len(groups))) < how_easy
    held_out = rng.random((seeds, n_groups))[:, groups] < 0.4
    return right, held_out & held_out.any(), groups


def test_a_photo_that_several_seeds_hold_out_counts_once():
    rng = np.random.default_rng(0)
    covers = []
    for rate in rng.uniform(0.6, 0.95, 600):
        right, held_out, groups = seen_by_seeds(20, rate, rng)
        times = held_out.sum(0)
        here = times > 0
        values = (right & held_out).sum(0)[here] / times[here]
        low, high = mean_interval(values, times[here].astype(float), groups[here])
        covers.append(low <= rate <= high)
    assert 0.93 <= np.mean(covers) <= 0.98


def changes(n_groups, down, up, alike, rng):
    groups = np.repeat(np.arange(n_groups), 4)
    is_alike = (rng.random(n_groups) < alike)[groups]
    drawn = np.where(is_alike, rng.random(n_groups)[groups], rng.random(len(groups)))
    return (
        (drawn < down).astype(float),
        ((down <= drawn) & (drawn < down + up)).astype(float),
        groups,
    )


def bootstrap(lost, won, groups):
    """What was used before."""
    sums = np.bincount(groups, won - lost)
    n = np.bincount(groups).astype(float)
    draw = np.random.default_rng(0).integers(0, len(n), (300, len(n)))
    return np.quantile(sums[draw].sum(1) / n[draw].sum(1), [0.025, 0.975])


def test_the_interval_of_a_change_covers_where_a_bootstrap_does_not():
    rng = np.random.default_rng(0)
    covers, bootstrapped = [], []
    for n_groups in (10, 20, 40):
        for down, up in ((0.02, 0.0), (0.1, 0.02), (0.3, 0.05), (0.05, 0.3)):
            for alike in (0, 0.7, 1):
                for _ in range(40):
                    lost, won, groups = changes(n_groups, down, up, alike, rng)
                    low, high = change_interval(lost, won, np.ones(len(groups)), groups)
                    covers.append(low <= up - down <= high)
                    low, high = bootstrap(lost, won, groups)
                    bootstrapped.append(low <= up - down <= high)
    assert np.mean(covers) >= 0.95
    assert np.mean(bootstrapped) < 0.85


def test_no_change_among_ten_photos_is_no_proof_that_there_is_none():
    none = np.zeros(10)
    low, high = change_interval(none, none, np.ones(10), np.arange(10))
    assert low == -high
    assert high > 0.1
    wider = change_interval(none, none, np.ones(10), np.repeat(np.arange(5), 2))
    assert wider[1] > high
    all_lost = change_interval(np.ones(10), none, np.ones(10), np.arange(10))
    assert -1 <= all_lost[0] <= all_lost[1] < -0.5


def test_doubt_was_chosen_for_its_coverage(monkeypatch):
    assert DOUBT_GROUPS == 3
    monkeypatch.setattr("ismila.evidence.intervals.DOUBT_GROUPS", 1e-9)
    assert mean_coverage(by_groups, MIXED, n_groups=[6]) < 0.9
