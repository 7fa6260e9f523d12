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

from ismila.learning.features import Floats


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


def whitening_of(rows: Floats, is_subject: npt.NDArray[np.bool_], shrink: float) -> Whitening:
    """What the negatives among `rows [N, D]` say.

    Args:
        shrink: how much of the mean variance is added to every direction's own; the larger, the nearer to the
            features as they are.
    """
    from scipy.linalg import cholesky, solve_triangular

    mean = rows[~is_subject].mean(0, dtype=np.float64)
    away = rows - mean
    n, d = away.shape
    # with fewer photos than features, the directions that no photo takes are left out: no head uses them
    basis = np.linalg.qr(away.T)[0] if n < d else np.eye(d)
    negatives = away[~is_subject] @ basis
    covariance = negatives.T @ negatives / len(negatives)
    covariance += (shrink * np.trace(covariance) / d + 1e-12) * np.eye(len(covariance))
    lower = cholesky(covariance, lower=True)
    return Whitening(mean, solve_triangular(lower, basis.T, lower=True).T)
