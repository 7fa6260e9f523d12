"""Coordinates in which the other photos spread alike in every direction.

Between the photos of one animal and all others, what tells it apart is often a direction in which the others hardly
vary. An L2 penalty on features as they are makes such directions dear; here it is paid in units of the others' spread,
shrunk towards the same for all, as in linear discriminant analysis (Friedman 1989,
https://doi.org/10.1080/01621459.1989.10478752). The head that comes out is one linear layer on the features again.
docs/head.md says what it gives.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from ismila.learning.features import Floats

one_thread = threadpool_limits.wrap(limits=1, user_api="blas")
"""OpenBLAS' threads spin while they wait: on two busy cores they took 5 s for what one does in 0.1 s."""


@dataclass(frozen=True)
class Whitening:
    """`[N, D]` -> `[N, R]`: less the negatives' mean, on axes `[D, R]` of about the same spread."""

    mean: npt.NDArray[np.float64]
    axes: npt.NDArray[np.float64]

    def __call__(self, rows: Floats) -> Floats:
        return np.asarray((rows - self.mean) @ self.axes, dtype=np.float32)

    def unfold(self, weight: Floats, bias: float) -> tuple[Floats, float]:
        """The linear layer on features that says what `weight [R]` and `bias` say on whitened rows."""
        on_features = self.axes @ weight.astype(np.float64)
        return on_features.astype(np.float32), float(bias - on_features @ self.mean)


@one_thread  # type: ignore[untyped-decorator]
def whitening_of(
    rows: Floats, is_subject: npt.NDArray[np.bool_], shrink: float, n_features: int | None = None
) -> Whitening:
    """What the negatives among `rows [N, D]` say.

    Args:
        shrink: how much of the mean variance is added to every direction's own; the larger, the nearer to the
            features as they are.
        n_features: what the mean variance is taken over, where `rows` come from `in_few_coordinates`.
    """
    from scipy.linalg import cholesky, solve_triangular

    mean = rows[~is_subject].mean(0, dtype=np.float64)
    away = (rows - mean).astype(np.float32)
    coordinates, back = _coordinates(away)
    negatives = coordinates[~is_subject]
    covariance = negatives.T @ negatives / len(negatives)
    covariance += (shrink * np.trace(covariance) / (n_features or rows.shape[1]) + 1e-9) * np.eye(
        len(covariance)
    )
    to_white = solve_triangular(
        cholesky(covariance, lower=True), np.eye(len(covariance)), lower=True
    ).T
    return Whitening(
        mean,
        to_white if back is None else (away.T @ (back @ to_white).astype(np.float32)).astype(float),
    )


@one_thread  # type: ignore[untyped-decorator]
def in_few_coordinates(rows: Floats) -> Floats:
    """`[N, D]` -> `[N, R]`, R at most N: the same photos with the same differences, so the same heads, but cheaper."""
    return _coordinates(rows - rows.mean(0))[0].astype(np.float32)


def _coordinates(away: Floats) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64] | None]:
    """Coordinates of centred rows along the directions that they take, and what makes axes of the rows: `[N, R]` both.

    The directions that no photo takes are left out: no head would use them. None: there are as many photos as features.
    """
    if len(away) >= away.shape[1]:
        return away.astype(np.float64), None
    squares, vectors = np.linalg.eigh((away @ away.T).astype(np.float64))
    taken = squares > 1e-6 * squares[-1]
    lengths = np.sqrt(squares[taken])
    return vectors[:, taken] * lengths, vectors[:, taken] / lengths
