"""The tables of docs/validation.md, and how many of their rows fail."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from benchmarks.report import Section
from benchmarks.validation.ensemble import Estimate, Sample
from benchmarks.validation.exact import Law
from benchmarks.validation.laws import LEAST_P, Comparison, kolmogorov_smirnov
from benchmarks.validation.rows import Check
from benchmarks.validation.steps import (
    FINER,
    LARGEST_ERROR,
    QUANTITIES,
    Corner,
    OrderCase,
    automatic_error,
    measure_order,
)
from rqf_engine.model import Model

#: A row fails beyond so many standard errors.
LARGEST_Z = 4.0
#: Rarer clusters, and what is as close to one, are left out: the scheme's error is absolute, and there it is
#: not far below the statistical error of rare events.
RAREST = 2e-3

Row = tuple[str, ...]


def describe_model(model: Model) -> str:
    """Parameters that differ from their defaults, as in physics."""
    parts = [f"n={_dimension(model.dimension)}", f"N={model.tokens}"]
    if model.bias > 0:
        parts.append(f"γ={model.bias:.4g}" + (" constant" if model.bias_kind == "constant" else ""))
    if model.noise_symmetry != 1:
        parts.append(f"τ={model.noise_symmetry:g}")
    if model.attention_strength > 0:
        parts.append(f"α={model.attention_strength:g} κ={model.inverse_temperature:g}")
    if model.initial.overlap is not None:
        parts.append(f"z₀={model.initial.overlap:g}")
    return " ".join(parts)


def _dimension(dimension: int) -> str:
    return "10⁶" if dimension == 10**6 else str(dimension)


def remaining(check: Check) -> Iterator[tuple[str, int, float]]:
    """Quantity, index among the times from the end, and prediction, where it is not too near 0 or 1."""
    for quantity, predicted in check.law.predict(check.ensemble).items():
        for index, expected in enumerate(predicted, start=-predicted.size):
            if expected <= 1.0 - RAREST and (quantity not in ("p_one", "p_two") or expected >= RAREST):
                yield quantity, index, float(expected)


def check_rows(check: Check, sample: Sample) -> Iterator[tuple[Row, float]]:
    """The rows of one check, as text and with their z."""
    if sample.total.column("failed").any():
        raise RuntimeError(f"realisations failed: {check.ensemble}")
    for quantity, index, expected in remaining(check):
        measured = sample.estimate(quantity)
        value, error = float(measured.value[index]), float(measured.error[index])
        z = (value - expected) / error
        text = (describe_model(check.ensemble.model), f"{check.ensemble.times[index]:g}", quantity)
        yield (*text, f"{expected:.6f}", f"{value:.6f}", f"{error:.1e}", f"{z:+.2f}"), z


def exact_sections(checks: Sequence[Check], samples: Sequence[Sample]) -> tuple[list[Section], int]:
    """One table for each law, and how many rows fail."""
    laws: dict[Law, list[tuple[Row, float]]] = {}
    for check, sample in zip(checks, samples, strict=True):
        laws.setdefault(check.law, []).extend(check_rows(check, sample))
    header = ("model", "t", "quantity", "predicted", "measured", "standard error", "z")
    sections = [
        Section(law.title, header, tuple(text for text, _ in rows), f"Exact: {law.source}.")
        for law, rows in laws.items()
    ]
    z = np.array([z for rows in laws.values() for _, z in rows])
    summary = (f"{z.size}", f"{np.abs(z).max():.2f}", f"{np.sqrt(np.mean(z**2)):.2f}")
    note = (
        f"A row fails where |z| > {LARGEST_Z:g}, z from the statistical error alone. Were the scheme exact, "
        f"one would fail with probability {z.size * math.erfc(LARGEST_Z / math.sqrt(2)):.1e} at most. "
        f"Probabilities below {RAREST:g} and values above {1 - RAREST:g} are left out: the scheme's error is "
        "absolute; the last table says what is known of it. Names as in README; parallel is the share of "
        "pairs in the last bins of the histogram."
    )
    overview = Section("Rows", ("rows", "largest |z|", "root mean square z"), (summary,), note)
    return [overview, *sections], int(np.sum(~(np.abs(z) <= LARGEST_Z)))


def law_section(comparisons: Sequence[Comparison], samples: Sequence[Sample]) -> tuple[Section, int]:
    """Frame against ambient; samples alternate as the comparisons' ensembles do."""
    rows, failed = [], 0
    for index, comparison in enumerate(comparisons):
        distances, p_values = kolmogorov_smirnov(samples[2 * index], samples[2 * index + 1])
        for time, distance, p in zip(comparison.frame.times, distances, p_values, strict=True):
            models = (describe_model(comparison.frame.model), describe_model(comparison.ambient.model))
            name = models[0] if models[0] == models[1] else f"{models[0]}; ambient {models[1].split()[0]}"
            rows.append((name, f"{time:g}", f"{distance:.4f}", f"{p:.3f}"))
            failed += not p >= LEAST_P
    realizations = comparisons[0].frame.realizations
    note = (
        f"Two-sample Kolmogorov–Smirnov test on the overlaps of {realizations} pairs from each scheme, known "
        f"by their bin, which makes it conservative. A row fails below p = {LEAST_P:.1e}."
    )
    header = ("model", "t", "distance", "p-value")
    return Section("Frame and ambient scheme have the same law", header, tuple(rows), note), failed


def _thousandths(estimate: Estimate, index: int) -> str:
    return f"{1e3 * estimate.value[index]:+.2f} ± {1e3 * estimate.error[index]:.2f}"


def order_section(cases: Sequence[OrderCase], samples: Sequence[Sample]) -> Section:
    """Errors at every step and the slope of log error against log h."""
    rows, rest = [], list(samples)
    for case in cases:
        own, rest = rest[: len(case.steps)], rest[len(case.steps) :]
        for quantity in QUANTITIES:
            slope = measure_order(case, own, quantity)
            known = not math.isnan(slope.order)
            order = f"{slope.order:.2f} ± {slope.order_error:.2f}" if known else "–"
            steps = ", ".join(f"{step:g}" for step in case.steps)
            errors = "; ".join(_thousandths(slope.errors, index) for index in range(len(case.steps)))
            where = f"{describe_model(case.model)}, t={case.time:g}"
            rows.append((case.title, where, steps, quantity, errors, order))
    note = (
        "Errors in units of 10⁻³ ± one standard error, at the steps h in their order. The slope is a fit of "
        "C h^p to the errors, against the exact value where there is one, else with the limit h → 0 fitted. "
        "–: no error is four times its standard error."
    )
    header = ("flow", "model", "h", "quantity", "errors", "slope p")
    return Section("Weak order: log error against log h", header, tuple(rows), note)


def _bound(error: Estimate) -> float:
    """|e| + 2σ: what the measurement proves, at a confidence of 95 %."""
    return float(np.abs(error.value[0]) + 2.0 * error.error[0])


def rule_section(corners: Sequence[Corner], samples: Sequence[Sample]) -> tuple[Section, int]:
    """The error at the automatic step, over the corners of the allowed range."""
    rows, failed, rest = [], 0, list(samples)
    for corner in corners:
        count = len(corner.ensembles)
        own, rest = rest[:count], rest[count:]
        errors = [automatic_error(corner, own, quantity) for quantity in QUANTITIES]
        failed += any(abs(e.value[0]) > LARGEST_ERROR + LARGEST_Z * e.error[0] for e in errors)
        texts = (f"{_thousandths(error, 0)} ({1e3 * _bound(error):.2f})" for error in errors)
        step = f"{corner.ensembles[0].time_step:.3g}"
        rows.append((describe_model(corner.model), f"{corner.times[-1]:.3g}", step, *texts))
    note = (
        "Errors in units of 10⁻³ ± one standard error and, in brackets, the bound |e| + 2σ that the row "
        "proves, each at a confidence of some 95 %; nothing smaller is claimed. Against exact values where "
        "there are any: all four of two tokens with no constant bias, R1 and R2 for more without attention. "
        f"Else against a step {FINER} times smaller: that shows {1 - FINER**-2:.2f} of an error of second "
        f"order. A row fails where an error exceeds {LARGEST_ERROR:g} by more than {LARGEST_Z:g} standard "
        "errors; one that passes may have a larger bound than that where realisations are few."
    )
    header = ("model", "t", "h", *QUANTITIES)
    return Section("Weak error of the automatic step", header, tuple(rows), note), failed
