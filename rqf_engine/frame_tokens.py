"""The frame scheme for N tokens: upper triangular coordinates in an orthonormal basis of their span.

The span loses a dimension whenever the tokens' last coordinates shrink to rounding in a whole chunk (row i
falls like e^{−2it}), and regains it when a boost lifts them: only ``rank`` rows are carried.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rqf_engine.chi_square import chi_square, chi_square_table
from rqf_engine.dynamics import (
    MERGED_SINE,
    STEPS_BETWEEN_CHECKS,
    Dynamics,
    attention_share,
    bias_share,
    dynamics_of,
)
from rqf_engine.elementary import log
from rqf_engine.flows.attention import attention_tokens
from rqf_engine.flows.boost import boost_tokens, draw_direction
from rqf_engine.flows.matrix_noise import matrix_noise_tokens
from rqf_engine.flows.wind import complete, exchange, renormalize, wind_tokens
from rqf_engine.generator import next_rows, normal_buffer
from rqf_engine.initial import equiangular_coordinates
from rqf_engine.jit import kernel
from rqf_engine.lanes import Lane, Rows, normalize_columns
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, record_growth, start_record
from rqf_engine.schedule import Schedule, graded

#: Coordinates below this are rounding errors of the others, which are of order one.
_NEGLIGIBLE = 1e-14


def simulate_tokens(
    model: Model, schedule: Schedule, tolerance: float, states: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Sums over the realisations of ``states`` (4, realizations), as Moments.values; N ≥ 2 tokens."""
    moments = Moments.zeros(schedule.counts.size).values
    tables = np.array([chi_square_table(model.dimension - i) for i in range(model.rank + 1)])
    lanes = _lanes(model)
    start = equiangular_coordinates(model)
    dynamics = dynamics_of(model)
    steps = graded(schedule, 2.0 * model.rank, model.matrix_clock)
    for first in range(0, states.shape[1], lanes):
        state = np.ascontiguousarray(states[:, first : first + lanes])
        _kernel(
            model.tokens,
            steps.counts,
            steps.lengths,
            steps.recorded,
            dynamics,
            tolerance,
            start,
            tables,
            state,
            normal_buffer(1, state.shape[1]),
            moments,
        )
    return moments


def _lanes(model: Model) -> int:
    return min(64, max(16, 8192 // (model.rank * model.tokens) // 8 * 8))


@kernel
def _start_diagonal(x: Lane, z: Lane, table: NDArray[np.float64]) -> None:
    chi_square(z, table)
    for r in range(x.size):
        x[r] = math.sqrt(max(z[r], 1e-200))


@kernel
def _start(
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
def _merged(coordinates: NDArray[np.float64], antipodal_too: bool, sine: Lane) -> bool:
    for token in range(1, coordinates.shape[1]):
        sine[:] = 0.0
        for i in range(1, min(token + 1, coordinates.shape[0])):
            for r in range(sine.size):
                sine[r] += coordinates[i, token, r] ** 2
        for r in range(sine.size):
            opposite = coordinates[0, token, r] * coordinates[0, 0, r] < 0.0
            if not (sine[r] < MERGED_SINE**2) or (opposite and not antipodal_too):
                return False
    return True


@kernel
def _record(
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


class _Scratch(NamedTuple):
    """Arrays that the flows use between them, and the state that only some models have."""

    before: NDArray[np.float64]
    halfway: NDArray[np.float64]
    pull: NDArray[np.float64]
    work: NDArray[np.float64]
    direction: Rows
    compass: Rows
    shift: Rows
    shrink: Rows


class _Stream(NamedTuple):
    """Where normals come from (generator.next_rows)."""

    state: NDArray[np.uint64]
    normals: NDArray[np.float64]
    cursor: NDArray[np.int64]


@kernel
def _scratch(full: int, tokens: int, lanes: int, dynamics: Dynamics) -> _Scratch:
    attention = dynamics.attention > 0.0
    # Row ``rank`` of directions holds what lies out of the frame.
    return _Scratch(
        np.empty((tokens if attention else 0, full, lanes)),
        np.empty((tokens if attention else 0, full, lanes)),
        np.empty((tokens if attention else 0, full, lanes)),
        np.empty((max(2 * full + 1, RECORD_ROWS), lanes)),
        np.empty((full + 1, lanes)),
        np.zeros((full + 1 if dynamics.wind > 0.0 else 0, lanes)),
        np.empty((tokens, lanes)),
        np.empty((tokens, lanes)),
    )


@kernel
def _attend(coordinates: NDArray[np.float64], strength: float, temperature: float, s: _Scratch) -> None:
    attention_tokens(
        coordinates, strength, temperature, s.compass, s.before, s.halfway, s.pull, s.shift, s.work
    )


@kernel
def _bias(
    coordinates: NDArray[np.float64],
    rank: int,
    dynamics: Dynamics,
    time: float,
    tables: NDArray[np.float64],
    stream: _Stream,
    s: _Scratch,
) -> int:
    """Boost for ``time`` and return the rank; ``s.shrink[0]`` is how tangent vectors at token 0 scaled."""
    rows = coordinates[: rank + 1]
    if dynamics.noise > 0.0:
        boost_tokens(
            rows,
            dynamics.noise * time,
            tables[rank],
            stream.state,
            stream.normals,
            stream.cursor,
            s.work,
            s.direction[: rank + 1],
            s.shift,
            s.shrink,
        )
    else:
        wind_tokens(rows, s.compass[: rank + 1], dynamics.wind * time, s.work, s.shift, s.shrink)
    return rank + 1 if rank + 1 < coordinates.shape[0] and not _negligible(coordinates[rank, rank:]) else rank


@kernel
def _noise(
    coordinates: NDArray[np.float64],
    dynamics: Dynamics,
    h: float,
    upward: bool,
    stream: _Stream,
    s: _Scratch,
) -> None:
    """Matrix noise for a step ``h``; logarithms of its diagonal stay in ``s.work``."""
    rank = coordinates.shape[0]
    state, normals, cursor = stream
    matrix_noise_tokens(
        coordinates,
        dynamics.clock * h,
        state,
        normals,
        cursor,
        s.work,
        s.shift,
        s.compass,
        dynamics.spin * h,
        upward,
    )
    if dynamics.wind > 0.0:
        outside = dynamics.dimension - rank
        if outside == 0:
            renormalize(s.compass[:rank], s.work[2 * rank : 2 * rank + 1])
            return
        for i in range(rank):
            row = next_rows(state, normals, cursor, 1)
            s.direction[i, :] = normals[row]
        scratch = s.shift
        exchange(s.compass[: rank + 1], s.direction[:rank], h, outside, scratch[:1], scratch[1:2])


@kernel
def _drop_rows(coordinates: NDArray[np.float64], rank: int, compass: Rows, square: Rows) -> int:
    """The rank without the last coordinates that are negligible, at least two."""
    while rank > 2 and _negligible(coordinates[rank - 1, rank - 1 :]):
        rank -= 1
        if compass.shape[0] > 0:
            compass[rank + 1] = 0.0
            complete(compass[: rank + 1], square)
    return rank


@kernel
def _lengthen(growth: Lane, factor: Lane) -> None:
    for r in range(growth.size):
        growth[r] += log(factor[r])


@kernel
def _shear(growth: Lane, log_first: Lane, log_second: Lane) -> None:
    for r in range(growth.size):
        growth[r] += log_second[r] - log_first[r]


@kernel
def _advance(
    coordinates: NDArray[np.float64],
    rank: int,
    dynamics: Dynamics,
    step: int,
    steps: int,
    h: float,
    tables: NDArray[np.float64],
    stream: _Stream,
    s: _Scratch,
    growth: Lane,
) -> int:
    """What is due before step ``step`` of ``steps``, then its noise unless it is the last; the new rank."""
    biased = dynamics.noise > 0.0 or dynamics.wind > 0.0
    pull = dynamics.attention * h * attention_share(step, steps)
    # Half of the bias before the attention and half after it: for many tokens the attention is dearer.
    share = h * bias_share(step, steps) * (0.5 if pull > 0.0 else 1.0)
    if biased:
        rank = _bias(coordinates, rank, dynamics, share, tables, stream, s)
        _lengthen(growth, s.shrink[0])
    if pull > 0.0:
        _attend(coordinates[:rank], pull, dynamics.temperature, s)
    if pull > 0.0 and biased:
        rank = _bias(coordinates, rank, dynamics, share, tables, stream, s)
        _lengthen(growth, s.shrink[0])
    if step < steps:
        _noise(coordinates[:rank], dynamics, h, step % 2 == 1, stream, s)
        _shear(growth, s.work[0], s.work[1])
    return rank


@kernel
def _kernel(
    tokens: int,
    counts: NDArray[np.int64],
    lengths: NDArray[np.float64],
    recorded: NDArray[np.bool_],
    dynamics: Dynamics,
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
    s = _scratch(full, tokens, lanes, dynamics)
    growth = np.zeros(lanes)
    minus = np.empty(lanes)
    plus = np.empty(lanes)
    finite = np.empty(lanes, np.bool_)
    stream = _Stream(state, normals, np.full(1, normals.shape[0]))
    _start(coordinates[:full], start, tables, state, normals, stream.cursor, s.shift)
    if dynamics.wind > 0.0:
        draw_direction(s.compass, s.work[:1], tables[full], state, normals, stream.cursor)
    merged = False
    records, duration = 0, 0.0
    for interval in range(counts.size):
        last = 0 if merged else counts[interval]
        for step in range(counts[interval] + 1):
            if step % STEPS_BETWEEN_CHECKS == 0:
                rank = _drop_rows(coordinates, rank, s.compass, s.shift[:1])
                if _merged(coordinates[:rank], dynamics.stays_antipodal, s.work[0]):
                    merged, last = True, step
            if last == 0:
                break
            rank = _advance(
                coordinates, rank, dynamics, step, last, lengths[interval], tables, stream, s, growth
            )
            if step == last:
                break
            duration += lengths[interval]
        if recorded[interval]:
            _record(coordinates[:rank], tolerance, s.work, minus, plus, finite, moments[records])
            if dynamics.attention == 0.0:
                record_growth(growth, duration, finite, moments[records])
            records, duration = records + 1, 0.0
