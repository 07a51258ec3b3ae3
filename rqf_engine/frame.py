"""The frame scheme: tokens in some orthonormal basis of their span, at a cost that does not know n.

The noise is O(n)-invariant, so only inner products matter, and the basis itself is never known. A scheme is
the symmetric composition of flows (rqf_engine/flows/, one file each): steps of matrix noise, with bias and
attention before, between and after them. Half steps of one ingredient that meet are taken as one.

Bias is shared out by Simpson's rule, 1/3, 4/3, 2/3, …, 4/3, 1/3 of a step's. For nearly antipodal tokens,
whose distance obeys a linear equation, the bias' effect is an integral over the path of the matrix noise:
Strang splitting (½, 1, …, 1, ½) is its trapezoidal rule, and loses up to 3·10⁻³ of p_two where this loses
10⁻⁴, at the same cost. Attention, whose effect on them is of higher order, is shared out by
Strang's rule. Where both meet, half of one comes before the other and half after it: every boundary is
symmetric. Weak order 2, with a constant bias 1.

Work is done in chunks of realisations that fit the processor's cache. A chunk whose tokens have all merged
to 10⁻¹² stops early: they part again with probability below 10⁻⁹.
"""

from __future__ import annotations

import numpy as np

from rqf_engine.frame_pair import simulate_pair
from rqf_engine.frame_tokens import simulate_tokens
from rqf_engine.generator import seed_states
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.schedule import Schedule


def simulate_frame(
    model: Model, schedule: Schedule, tolerance: float, realizations: int, seed: np.random.SeedSequence
) -> Moments:
    """Moments of ``realizations`` realisations of ``model``; the ``schedule`` must have even counts."""
    simulate = simulate_pair if model.tokens == 2 else simulate_tokens
    return Moments(simulate(model, schedule, tolerance, seed_states(seed, realizations)))
