"""The frame scheme: tokens in some orthonormal basis of their span, at a cost that does not know n.

The noise is O(n)-invariant, so only inner products matter, and the basis itself is never known. Symmetric
splitting: steps of matrix noise, with boosts before, between and after them that share out the bias by
Simpson's rule, 1/3, 4/3, 2/3, …, 4/3, 1/3 of a step's. For nearly antipodal tokens, whose distance obeys a
linear equation, the boosts' effect is an integral over the path of the matrix noise: Strang splitting (½,
1, …, 1, ½) is its trapezoidal rule, and loses up to 3·10⁻³ of p_two where this loses 10⁻⁴, at the same cost.
Weak order 2 for a pair of tokens.

Work is done in chunks of realisations that fit the processor's cache. The tokens' span loses a dimension
whenever their last coordinates shrink to rounding in a whole chunk (row i falls like e^{−2it}), and regains
it when a boost lifts them: only ``rank`` rows are carried. A chunk whose tokens have all merged to 10⁻¹²
stops early: they part again with probability below 10⁻¹⁰.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from rqf_engine.chi_square import chi_square, chi_square_table
from rqf_engine.flows.boost import PAIR_NORMALS as BOOST_NORMALS
from rqf_engine.flows.boost import boost_pair, boost_tokens
from rqf_engine.flows.matrix_noise import PAIR_NORMALS as NOISE_NORMALS
from rqf_engine.flows.matrix_noise import matrix_noise_pair, matrix_noise_tokens
from rqf_engine.generator import next_rows, normal_buffer, seed_states
from rqf_engine.initial import equiangular_coordinates
from rqf_engine.jit import inlined, kernel
from rqf_engine.lanes import Lane, Rows, normalize_columns
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, start_record
from rqf_engine.schedule import Schedule

_PAIR_LANES = 128
_MERGED_SINE = 1e-12
_STEPS_BETWEEN_CHECKS = 8
#: Coordinates below this are rounding errors of the others, which are of order one.
_NEGLIGIBLE = 1e-14


def simulate_frame(
    model: Model, schedule: Schedule, tolerance: float, realizations: int, seed: np.random.SeedSequence
) -> Moments:
    """Moments of ``realizations`` realisations of ``model`` (bias noise, no attention).

    The ``schedule`` must have even counts.
    """
    advance = _simulate_pair if model.tokens == 2 else _simulate_tokens
    return Moments(advance(model, schedule, tolerance, seed_states(seed, realizations)))


def _simulate_pair(
    model: Model, schedule: Schedule, tolerance: float, states: NDArray[np.uint64]
) -> NDArray[np.float64]:
    moments = Moments.zeros(schedule.counts.size).values
    start_table = chi_square_table(model.dimension - 1)
    table = chi_square_table(model.dimension - 2)
    group = NOISE_NORMALS + BOOST_NORMALS if model.bias > 0 else NOISE_NORMALS
    start = equiangular_coordinates(model)
    for first in range(0, states.shape[1], _PAIR_LANES):
        state = np.ascontiguousarray(states[:, first : first + _PAIR_LANES])
        normals = normal_buffer(group, state.shape[1])
        _pair_kernel(
            schedule.counts,
            schedule.lengths,
            model.matrix_clock,
            model.bias,
            tolerance,
            start,
            start_table,
            table,
            group,
            state,
            normals,
            moments,
        )
    return moments


@inlined
def _boost_share(step: int, steps: int) -> float:
    """Share of a step's bias that the boost before step ``step`` of an even number of ``steps`` has."""
    if step == 0 or step == steps:
        return 1.0 / 3.0
    return 4.0 / 3.0 if step % 2 == 1 else 2.0 / 3.0


@kernel
def _start_pair(
    cotangent: Lane, z0: Lane, z1: Lane, start: NDArray[np.float64], table: NDArray[np.float64]
) -> None:
    if start.size > 0:
        cotangent[:] = start[0, 1] / max(start[1, 1], 1e-100)
        return
    chi_square(z1, table)
    for r in range(cotangent.size):
        cotangent[r] = z0[r] / math.sqrt(max(z1[r], 1e-200))


@kernel
def _pair_overlaps(cotangent: Lane, minus: Lane, plus: Lane, finite: NDArray[np.bool_]) -> None:
    for r in range(cotangent.size):
        v = cotangent[r]
        finite[r] = math.isfinite(v)
        root = math.sqrt(1.0 + v * v)
        small = 1.0 / (root * (root + abs(v)))
        minus[r] = small if v > 0.0 else 2.0 - small
        plus[r] = 2.0 - small if v > 0.0 else small


@kernel
def _pair_merged(cotangent: Lane, antipodal_too: bool) -> bool:
    for r in range(cotangent.size):
        v = abs(cotangent[r]) if antipodal_too else cotangent[r]
        if v < 1.0 / _MERGED_SINE:
            return False
    return True


@kernel
def _pair_kernel(
    counts: NDArray[np.int64],
    lengths: NDArray[np.float64],
    clock: float,
    bias: float,
    tolerance: float,
    start: NDArray[np.float64],
    start_table: NDArray[np.float64],
    table: NDArray[np.float64],
    group: int,
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> None:
    """Each step takes ``group`` rows of ``normals``: two for the matrix noise, then those of the boost."""
    lanes = state.shape[1]
    cotangent = np.empty(lanes)
    work = np.empty((RECORD_ROWS, lanes))
    minus = np.empty(lanes)
    plus = np.empty(lanes)
    finite = np.empty(lanes, np.bool_)
    cursor = np.full(1, normals.shape[0])
    row = next_rows(state, normals, cursor, group)
    _start_pair(cotangent, normals[row], normals[row + 1], start, start_table)
    merged = False
    for time in range(counts.size):
        s = bias * bias * lengths[time]
        for step in range(counts[time] + 1):
            if merged:
                break
            row = next_rows(state, normals, cursor, group)
            if bias > 0.0:
                length = s * _boost_share(step, counts[time])
                boost_pair(cotangent, normals[row + 2], normals[row + 3], normals[row + 4], table, length)
            if step < counts[time]:
                matrix_noise_pair(cotangent, normals[row], normals[row + 1], clock * lengths[time])
            if step % _STEPS_BETWEEN_CHECKS == 0:
                merged = _pair_merged(cotangent, bias == 0.0)
        _pair_overlaps(cotangent, minus, plus, finite)
        start_record(work)
        add_pair(minus, plus, True, finite, work, moments[time])
        finish_record(2, tolerance, finite, work, moments[time])


def _token_lanes(model: Model) -> int:
    return min(64, max(16, 8192 // (model.rank * model.tokens) // 8 * 8))


def _simulate_tokens(
    model: Model, schedule: Schedule, tolerance: float, states: NDArray[np.uint64]
) -> NDArray[np.float64]:
    moments = Moments.zeros(schedule.counts.size).values
    tables = np.array([chi_square_table(model.dimension - i) for i in range(model.rank + 1)])
    lanes = _token_lanes(model)
    start = equiangular_coordinates(model)
    for first in range(0, states.shape[1], lanes):
        state = np.ascontiguousarray(states[:, first : first + lanes])
        _tokens_kernel(
            model.tokens,
            schedule.counts,
            schedule.lengths,
            model.matrix_clock,
            model.bias,
            tolerance,
            start,
            tables,
            state,
            normal_buffer(1, state.shape[1]),
            moments,
        )
    return moments


@kernel
def _start_diagonal(x: Lane, z: Lane, table: NDArray[np.float64]) -> None:
    chi_square(z, table)
    for r in range(x.size):
        x[r] = math.sqrt(max(z[r], 1e-200))


@kernel
def _start_tokens(
    coordinates: NDArray[np.float64],
    start: NDArray[np.float64],
    tables: NDArray[np.float64],
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    cursor: NDArray[np.int64],
    norms: Rows,
) -> None:
    """Tokens at ``start``, or, where it is empty, independent uniform ones.

    Those have Bartlett's law of the triangular factor of a Gaussian matrix.
    """
    if start.size > 0:
        for i in range(coordinates.shape[0]):
            for token in range(i, coordinates.shape[1]):
                coordinates[i, token, :] = start[i, token]
        return
    for i in range(coordinates.shape[0]):
        row = next_rows(state, normals, cursor, 1)
        _start_diagonal(coordinates[i, i], normals[row], tables[i])
        for token in range(i + 1, coordinates.shape[1]):
            row = next_rows(state, normals, cursor, 1)
            coordinates[i, token, :] = normals[row]
    normalize_columns(coordinates, norms)


@kernel
def _all_finite(coordinates: NDArray[np.float64], finite: NDArray[np.bool_]) -> None:
    finite[:] = True
    for i in range(coordinates.shape[0]):
        for token in range(i, coordinates.shape[1]):
            for r in range(finite.size):
                finite[r] &= math.isfinite(coordinates[i, token, r])


@kernel
def _squared_distances(x: Lane, y: Lane, minus: Lane, plus: Lane) -> None:
    for r in range(x.size):
        difference = x[r] - y[r]
        total = x[r] + y[r]
        minus[r] += 0.5 * difference * difference
        plus[r] += 0.5 * total * total


@kernel
def _negligible(row: NDArray[np.float64]) -> bool:
    for token in range(row.shape[0]):
        for r in range(row.shape[1]):
            if not abs(row[token, r]) < _NEGLIGIBLE:
                return False
    return True


@kernel
def _tokens_merged(coordinates: NDArray[np.float64], antipodal_too: bool, sine: Lane) -> bool:
    for token in range(1, coordinates.shape[1]):
        sine[:] = 0.0
        for i in range(1, min(token + 1, coordinates.shape[0])):
            for r in range(sine.size):
                sine[r] += coordinates[i, token, r] ** 2
        for r in range(sine.size):
            opposite = coordinates[0, token, r] * coordinates[0, 0, r] < 0.0
            if not (sine[r] < _MERGED_SINE**2) or (opposite and not antipodal_too):
                return False
    return True


@kernel
def _record_tokens(
    coordinates: NDArray[np.float64],
    tolerance: float,
    work: NDArray[np.float64],
    minus: Lane,
    plus: Lane,
    finite: NDArray[np.bool_],
    row: Lane,
) -> None:
    """Add all realisations to the moments' ``row``; the other arrays are scratch."""
    tokens = coordinates.shape[1]
    _all_finite(coordinates, finite)
    start_record(work)
    for j in range(tokens):
        for i in range(j):
            minus[:] = 0.0
            plus[:] = 0.0
            for axis in range(min(j + 1, coordinates.shape[0])):
                _squared_distances(coordinates[axis, i], coordinates[axis, j], minus, plus)
            add_pair(minus, plus, i == 0, finite, work, row)
    finish_record(tokens, tolerance, finite, work, row)


@kernel
def _tokens_kernel(
    tokens: int,
    counts: NDArray[np.int64],
    lengths: NDArray[np.float64],
    clock: float,
    bias: float,
    tolerance: float,
    start: NDArray[np.float64],
    tables: NDArray[np.float64],
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> None:
    """``tables`` (k+1, intervals, 4): χ² with n−i degrees of freedom for i = 0…k."""
    full, lanes = tables.shape[0] - 1, state.shape[1]
    rank = full
    # Row ``rank`` holds what a boost moves out of the frame, before the frame turns after it.
    coordinates = np.zeros((full + 1, tokens, lanes))
    halfway = np.empty((full, tokens, lanes))
    work = np.empty((max(2 * full + 1, RECORD_ROWS), lanes))
    direction = np.empty((full + 1, lanes))
    shift = np.empty((tokens, lanes))
    shrink = np.empty((tokens, lanes))
    minus = np.empty(lanes)
    plus = np.empty(lanes)
    finite = np.empty(lanes, np.bool_)
    cursor = np.full(1, normals.shape[0])
    _start_tokens(coordinates[:full], start, tables, state, normals, cursor, shift)
    merged = False
    for time in range(counts.size):
        s = bias * bias * lengths[time]
        for step in range(counts[time] + 1):
            if merged:
                break
            if bias > 0.0:
                boost_tokens(
                    coordinates[: rank + 1],
                    s * _boost_share(step, counts[time]),
                    tables[rank],
                    state,
                    normals,
                    cursor,
                    work,
                    direction[: rank + 1],
                    shift,
                    shrink,
                )
                if rank < full and not _negligible(coordinates[rank, rank:]):
                    rank += 1
            if step < counts[time]:
                matrix_noise_tokens(
                    coordinates[:rank], clock * lengths[time], state, normals, cursor, work, halfway
                )
            if step % _STEPS_BETWEEN_CHECKS == 0:
                while rank > 2 and _negligible(coordinates[rank - 1, rank - 1 :]):
                    rank -= 1
                merged = _tokens_merged(coordinates[:rank], bias == 0.0, work[0])
        _record_tokens(coordinates[:rank], tolerance, work, minus, plus, finite, moments[time])
