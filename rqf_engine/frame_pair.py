"""The frame scheme for two tokens: their state is the cotangent of their angle, all flows in closed form."""

from __future__ import annotations

import math

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
from rqf_engine.flows.attention import attention_pair
from rqf_engine.flows.boost import PAIR_NORMALS as BOOST_NORMALS
from rqf_engine.flows.boost import boost_pair
from rqf_engine.flows.matrix_noise import PAIR_NORMALS as NOISE_NORMALS
from rqf_engine.flows.matrix_noise import matrix_noise_pair
from rqf_engine.flows.wind import PAIR_NORMALS as WIND_NORMALS
from rqf_engine.flows.wind import exchange_pair, follow_pair, start_compass_pair, wind_pair
from rqf_engine.generator import next_rows, normal_buffer
from rqf_engine.initial import equiangular_coordinates
from rqf_engine.jit import kernel
from rqf_engine.lanes import Lane, Rows, turn
from rqf_engine.model import Model
from rqf_engine.moments import Moments
from rqf_engine.observables import RECORD_ROWS, add_pair, finish_record, record_growth, start_record
from rqf_engine.schedule import Schedule

_LANES = 256


def simulate_pair(
    model: Model, schedule: Schedule, tolerance: float, states: NDArray[np.uint64]
) -> NDArray[np.float64]:
    """Sums over the realisations of ``states`` (4, realizations), as Moments.values; two tokens."""
    moments = Moments.zeros(schedule.counts.size).values
    dynamics = dynamics_of(model)
    start_table = chi_square_table(model.dimension - 1)
    table = chi_square_table(model.dimension - 2)
    group = _normals_of(dynamics)
    start = equiangular_coordinates(model)
    for first in range(0, states.shape[1], _LANES):
        state = np.ascontiguousarray(states[:, first : first + _LANES])
        normals = normal_buffer(group, state.shape[1])
        _kernel(
            schedule.counts,
            schedule.lengths,
            dynamics,
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


def _normals_of(dynamics: Dynamics) -> int:
    """Rows of normals that a step takes: two for the matrix noise, then those of the bias."""
    if dynamics.wind > 0:
        return NOISE_NORMALS + WIND_NORMALS + (1 if dynamics.spin > 0 else 0)
    return NOISE_NORMALS + (BOOST_NORMALS if dynamics.noise > 0 else 0)


@kernel
def _start(
    cotangent: Lane, z0: Lane, z1: Lane, start: NDArray[np.float64], table: NDArray[np.float64]
) -> None:
    if start.size > 0:
        cotangent[:] = start[0, 1] / max(start[1, 1], 1e-100)
        return
    chi_square(z1, table)
    for r in range(cotangent.size):
        cotangent[r] = z0[r] / math.sqrt(max(z1[r], 1e-200))


@kernel
def _overlaps(cotangent: Lane, minus: Lane, plus: Lane, finite: NDArray[np.bool_]) -> None:
    for r in range(cotangent.size):
        v = cotangent[r]
        finite[r] = math.isfinite(v)
        root = math.sqrt(1.0 + v * v)
        small = 1.0 / (root * (root + abs(v)))
        minus[r] = small if v > 0.0 else 2.0 - small
        plus[r] = 2.0 - small if v > 0.0 else small


@kernel
def _merged(cotangent: Lane, antipodal_too: bool) -> bool:
    for r in range(cotangent.size):
        v = abs(cotangent[r]) if antipodal_too else cotangent[r]
        if v < 1.0 / MERGED_SINE:
            return False
    return True


@kernel
def _attend(cotangent: Lane, compass: Rows, dynamics: Dynamics, time: float, before: Lane) -> None:
    before[:] = cotangent
    attention_pair(cotangent, dynamics.attention * time, dynamics.temperature)
    if dynamics.wind > 0.0:
        follow_pair(before, cotangent, compass[0], compass[1])


@kernel
def _bias(
    cotangent: Lane, compass: Rows, dilation: Lane, dynamics: Dynamics, time: float, z: Rows, table: Rows
) -> None:
    if dynamics.noise > 0.0:
        boost_pair(cotangent, dilation, z[0], z[1], z[2], table, dynamics.noise * time)
    elif dynamics.wind > 0.0:
        wind_pair(cotangent, compass[0], compass[1], dilation, dynamics.wind * time)


@kernel
def _noise(cotangent: Lane, compass: Rows, dynamics: Dynamics, h: float, z: Rows) -> None:
    matrix_noise_pair(cotangent, z[0], z[1], dynamics.clock * h)
    if dynamics.wind > 0.0:
        turn(compass[0], compass[1], z[1], math.sqrt(dynamics.clock * h))
        if dynamics.spin > 0.0:
            turn(compass[0], compass[1], z[4], math.sqrt(dynamics.spin * h))
        exchange_pair(compass[0], compass[1], z[2], z[3], h, dynamics.dimension - 2)


@kernel
def _advance(
    cotangent: Lane,
    compass: Rows,
    dilation: Lane,
    dynamics: Dynamics,
    step: int,
    steps: int,
    h: float,
    z: Rows,
    table: Rows,
    before: Lane,
) -> None:
    """What is due before step ``step`` of ``steps``, and the step's noise unless it is the last boundary."""
    biased = dynamics.noise > 0.0 or dynamics.wind > 0.0
    pull = h * attention_share(step, steps) * (0.5 if biased else 1.0)
    if dynamics.attention > 0.0:
        _attend(cotangent, compass, dynamics, pull, before)
    _bias(cotangent, compass, dilation, dynamics, h * bias_share(step, steps), z[NOISE_NORMALS:], table)
    if dynamics.attention > 0.0 and biased:
        _attend(cotangent, compass, dynamics, pull, before)
    if step < steps:
        _noise(cotangent, compass, dynamics, h, z)


@kernel
def _collect_growth(growth: Lane, dilation: Lane) -> None:
    for r in range(growth.size):
        growth[r] -= log(dilation[r])
        dilation[r] = 1.0


@kernel
def _add_shrinking(growth: Lane, scores: Lane, drift: float, spread: float) -> None:
    """Take from ``growth`` what the matrix noise took: ``drift`` + ``spread`` · score."""
    for r in range(growth.size):
        growth[r] -= drift + spread * scores[r]
        scores[r] = 0.0


@kernel
def _kernel(
    counts: NDArray[np.int64],
    lengths: NDArray[np.float64],
    dynamics: Dynamics,
    tolerance: float,
    start: NDArray[np.float64],
    start_table: NDArray[np.float64],
    table: NDArray[np.float64],
    group: int,
    state: NDArray[np.uint64],
    normals: NDArray[np.float64],
    moments: NDArray[np.float64],
) -> None:
    """Each step takes ``group`` rows of ``normals``: two for the matrix noise, then those of the bias."""
    lanes = state.shape[1]
    cotangent = np.empty(lanes)
    dilation = np.ones(lanes)
    scores = np.zeros(lanes)
    growth = np.zeros(lanes)
    compass = np.empty((2, lanes))
    work = np.empty((RECORD_ROWS, lanes))
    minus = np.empty(lanes)
    plus = np.empty(lanes)
    finite = np.empty(lanes, np.bool_)
    cursor = np.full(1, normals.shape[0])
    row = next_rows(state, normals, cursor, group)
    _start(cotangent, normals[row], normals[row + 1], start, start_table)
    if dynamics.wind > 0.0:
        row = next_rows(state, normals, cursor, group)
        start_compass_pair(compass[0], compass[1], normals[row], normals[row + 1], normals[row + 2], table)
    merged = False
    for time in range(counts.size):
        h, taken, last = lengths[time], 0, 0 if merged else counts[time]
        for step in range(counts[time] + 1):
            if step % STEPS_BETWEEN_CHECKS == 0:
                _collect_growth(growth, dilation)
                if _merged(cotangent, dynamics.stays_antipodal):
                    merged, last = True, step
            if last == 0:
                break
            row = next_rows(state, normals, cursor, group)
            z = normals[row : row + group]
            _advance(cotangent, compass, dilation, dynamics, step, last, h, z, table, minus)
            if step == last:
                break
            taken += 1
            for r in range(lanes):
                scores[r] += z[0, r]
        _overlaps(cotangent, minus, plus, finite)
        start_record(work)
        add_pair(minus, plus, True, finite, work, moments[time])
        finish_record(2, tolerance, finite, work, moments[time])
        if dynamics.attention == 0.0:
            _collect_growth(growth, dilation)
            clock = dynamics.clock * h
            _add_shrinking(growth, scores, taken * 2.0 * clock, 2.0 * math.sqrt(clock))
            record_growth(growth, taken * h, finite, moments[time])
