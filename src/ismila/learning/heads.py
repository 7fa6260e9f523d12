"""The linear head: one solver, used for training, for cross-validation and for the refit.

Between the photos of one animal and all others, what tells it apart is often a direction in which the others hardly
vary. An L2 penalty on features as they are makes such directions dear; here it is paid in units of the others' spread,
shrunk towards the same for all, as in linear discriminant analysis (Friedman 1989,
https://doi.org/10.1080/01621459.1989.10478752). The head that comes out is one linear layer on the features again.
docs/head.md says what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cholesky, solve_triangular
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ismila.vision.graphs import Bools, Doubles, Floats

one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""OpenBLAS' threads spin while they wait: on two busy cores they took 5 s for what one does in 0.1 s."""

NEWTON_UP_TO = 1500
"""Rows or features, whichever there are fewer of."""
TOLERANCE = 1e-9
"""Of the gradient, where Newton's steps stop: logits then agree with any other exact solver's to about 1e-7."""
LARGE_TOLERANCE = 1e-6
"""The same for L-BFGS: on 4,365 rows the largest logit was .005 from where it ends at last, with 1e-5 it was .05."""


@dataclass(frozen=True)
class Penalty:
    """What makes one linear head preferable to another that tells the same photos apart.

    Attributes:
        C: inverse strength of the L2 penalty, as scikit-learn's.
        shrink: how much of the mean variance is added to every direction's own; the larger, the nearer to a penalty
            on the features as they are. None: the rows come in such units already, see `Whitening`.
        balanced: both sides weigh the same, however many photos they have.
    """

    C: float
    shrink: float | None
    balanced: bool


@dataclass(frozen=True)
class LinearHead:
    """`[N, D]` -> logits `[N]`, as exact as it was solved; a network keeps it in single precision.

    Attributes:
        weight: `[D]`.
    """

    weight: Doubles
    bias: float

    def __call__(self, x: Floats) -> Floats:
        return np.asarray(x @ self.weight + self.bias, dtype=np.float32)


@one_thread  # type: ignore[untyped-decorator]
def fit_head(
    x: Floats, is_subject: Bools, penalty: Penalty, n_features: int | None = None
) -> LinearHead:
    """Logistic regression on whitened features.

    By scikit-learn, whatever the seed: about eight Newton steps, to machine precision, or L-BFGS where there are more
    than `NEWTON_UP_TO` rows and features, to `LARGE_TOLERANCE`.

    Args:
        x: `[N, D]`.
        is_subject: `[N]`, both values occur.
        n_features: what the mean variance is taken over, where `x` is in `few_coordinates`.
    """
    if penalty.shrink is None:
        return _solve(x, is_subject, penalty)
    whitening = whitening_of(x, is_subject, penalty.shrink, n_features)
    return whitening.unfold(_solve(whitening(x), is_subject, penalty))


def _solve(x: Floats | Doubles, is_subject: Bools, penalty: Penalty) -> LinearHead:
    # a Newton step costs the cube of the width: with thousands of rows many small steps are cheaper, the more so where
    # the rows come with the same spread in every direction
    is_large = penalty.shrink is None or min(x.shape) > NEWTON_UP_TO
    solver = LogisticRegression(
        C=penalty.C,
        class_weight="balanced" if penalty.balanced else None,
        solver="lbfgs" if is_large else "newton-cholesky",
        tol=LARGE_TOLERANCE if is_large else TOLERANCE,
        max_iter=2000 if is_large else 100,
    )
    solver.fit(x, is_subject)
    return LinearHead(np.asarray(solver.coef_[0], np.float64), float(solver.intercept_[0]))


@dataclass(frozen=True)
class Coordinates:
    """`[N, D]` -> `[N, R]`: less a mean, on some axes.

    Attributes:
        mean: `[D]`.
        axes: `[D, R]`; None: those of the features themselves.
    """

    mean: Doubles
    axes: Doubles | None

    def __call__(self, x: Floats) -> Doubles:
        away = x - self.mean
        return np.asarray(away if self.axes is None else away @ self.axes)

    def unfold(self, head: LinearHead) -> LinearHead:
        """The head on features whose logits are those of a head on coordinates."""
        on_features = head.weight if self.axes is None else self.axes @ head.weight
        return LinearHead(on_features, float(head.bias - on_features @ self.mean))


class Whitening(Coordinates):
    """Coordinates less the negatives' mean, in which they have about the same spread in every direction."""


def whitening_of(
    x: Floats,
    is_subject: Bools,
    shrink: float,
    n_features: int | None = None,
    within: Floats | None = None,
) -> Whitening:
    """What the negatives among `x [N, D]` say; see `fit_head` and `Penalty`.

    Args:
        within: `[M, D]`, how photos of one animal differ: their squares, summed up, are added to the negatives' own.
    """
    mean = x[~is_subject].mean(0, dtype=np.float64)
    away = x - mean
    coordinates, back = _coordinates(away)
    negatives = coordinates[~is_subject]
    covariance = negatives.T @ negatives / len(negatives)
    added = shrink * np.trace(covariance) / (n_features or x.shape[1])
    identity = np.eye(len(covariance))
    # a single negative has no spread: the small term keeps the matrix positive
    covariance += (added + 1e-9) * identity
    if within is not None:
        differences = within if back is None else within @ (away.T @ back)
        covariance += differences.T @ differences
    to_white = solve_triangular(cholesky(covariance, lower=True), identity, lower=True).T
    return Whitening(mean, to_white if back is None else away.T @ (back @ to_white))


@one_thread  # type: ignore[untyped-decorator]
def few_coordinates(x: Floats) -> Coordinates:
    """Coordinates `[N, R]` of rows `[N, D]`, R at most N, with the same differences between rows.

    A penalty that is the same in every direction cannot tell the two apart: heads have the same logits, but cost less.
    """
    mean = x.mean(0, dtype=np.float64)
    away = x - mean
    back = _coordinates(away)[1]
    return Coordinates(mean, None if back is None else away.T @ back)


def _coordinates(away: Doubles) -> tuple[Doubles, Doubles | None]:
    """Coordinates of centred rows along the directions that they take, and what makes axes of the rows.

    The directions that no photo takes are left out: no head would use them.

    Returns:
        `[N, R]` both; None instead of the second where there are as many photos as features.
    """
    if len(away) >= away.shape[1]:
        return away, None
    squares, vectors = np.linalg.eigh(away @ away.T)
    taken = squares > 1e-12 * max(squares[-1], 1e-300)
    lengths = np.sqrt(squares[taken])
    return vectors[:, taken] * lengths, vectors[:, taken] / lengths
