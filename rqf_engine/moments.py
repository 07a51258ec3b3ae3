"""Mergeable moments of an ensemble at its record times: all that is kept of a block of realisations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

OVERLAP_BINS = 64
#: Columns of ``Moments.values``; the histogram's bins follow them.
COLUMNS = (
    "count",
    "failed",
    "one",
    "two",
    "overlap",
    "overlap_squared",
    "squared_overlap",
    "squared_overlap_squared",
    "minority",
    "growth",
    "growth_squared",
    "duration",
    "duration_squared",
    "growth_duration",
)
WIDTH = len(COLUMNS) + OVERLAP_BINS


@dataclass(frozen=True)
class Moments:
    """Sums over realisations, one row per record time.

    values: float64 (times, WIDTH). Columns, in the order of COLUMNS: ``count`` realisations that
    stand behind the row; ``failed`` realisations left out because a number stopped being finite;
    ``one``/``two`` realisations in one / two antipodal clusters; sums of R1, R1², R2, R2²
    (physics: R1 mean overlap over pairs, R2 mean squared overlap); ``minority`` sum of the smaller
    cluster's share over clustered realisations; ``growth`` sum of ℓ, the logarithm by which a tangent
    vector at token 0 grew since the record time before, with sums of ℓ², of the ``duration`` d for which
    it was followed (less than the interval where merged tokens stopped early), of d² and of ℓd;
    then OVERLAP_BINS counts of pairwise overlaps on
    [−1, 1]. Counts are whole numbers below 2^53, so float64 holds them exactly.
    """

    values: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 2 or self.values.shape[1] != WIDTH or self.values.dtype != np.float64:
            raise ValueError(
                f"moments take float64 (times, {WIDTH}), got {self.values.dtype} {self.values.shape}"
            )

    def __add__(self, other: Moments) -> Moments:
        """Moments of both ensembles together. Float addition: merge in a fixed order for fixed bits."""
        return Moments(self.values + other.values)

    def column(self, name: str) -> NDArray[np.float64]:
        """One named column, shape (times,)."""
        return self.values[:, COLUMNS.index(name)]

    @property
    def histogram(self) -> NDArray[np.float64]:
        """Counts of pairwise overlaps, shape (times, OVERLAP_BINS)."""
        return self.values[:, len(COLUMNS) :]

    @staticmethod
    def zeros(times: int) -> Moments:
        """The moments of no realisation."""
        return Moments(np.zeros((times, WIDTH)))
