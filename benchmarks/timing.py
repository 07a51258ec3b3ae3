"""Cpu time of alternatives in interleaved rounds: a busy neighbour or a change of clock hits all alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import numpy as np

ROUNDS = 7


def interleaved(tasks: Mapping[str, Callable[[], object]], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Cpu-seconds of every task in every round; a first run of each is not counted."""
    for task in tasks.values():
        task()
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(rounds):
        for name, task in tasks.items():
            start = time.process_time()
            task()
            seconds[name].append(time.process_time() - start)
    return seconds


def median_ratio(seconds: list[float], reference: list[float]) -> float:
    """Median over the rounds of the ratio within a round."""
    return float(np.median(np.array(seconds) / np.array(reference)))
