"""Where tokens start: equiangular ones have fixed inner products; uniform ones are drawn by the schemes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rqf_engine.model import Model


def equiangular_coordinates(model: Model) -> NDArray[np.float64]:
    """Upper triangular coordinates (k, N) of tokens whose pairs all have ``model.initial.overlap``.

    The Cholesky factor of the Gram matrix (1 − c) I + c J, in closed form. Empty (0, 0) for uniform tokens.
    """
    overlap = model.initial.overlap
    if overlap is None:
        return np.empty((0, 0))
    coordinates = np.zeros((model.rank, model.tokens))
    before = 0.0  # sum of squares of the entries above, the same for every later token
    for i in range(model.rank):
        # Rounding must not make the last one of a regular simplex's coordinates the root of −10⁻¹⁷.
        diagonal = np.sqrt(max(1.0 - before, 0.0))
        coordinates[i, i] = diagonal
        rest = (overlap - before) / diagonal if diagonal > 0 else 0.0
        coordinates[i, i + 1 :] = rest
        before += rest**2
    return coordinates
