"""The sweeps of a chaos run: they overlap in time and in cells."""

from __future__ import annotations

from typing import Any

_COMMON: dict[str, Any] = {
    "bias": {"start": 0.01, "stop": 1.0, "num": 6, "spacing": "log"},
    "tokens": [2, 8],
    "times": [1.0, 4.0, 10.0],
    "seed": 4,
}


def specs(kills: int) -> list[dict[str, Any]]:
    """Specs with some 2 cpu-seconds of work for each of ``kills``; the last one is adaptive in both ways."""
    one = 1_000 * round(0.6 * kills)  # whole quanta: a partial one has to be simulated anew to be extended
    return [
        {**_COMMON, "name": "first", "dimension": [3, 64], "realizations": one},
        {**_COMMON, "name": "shares half of the first", "dimension": [64, 512], "realizations": one},
        {**_COMMON, "name": "extends the first", "dimension": 3, "realizations": 2 * one},
        {
            **_COMMON,
            "name": "adaptive and refined",
            "dimension": 8,
            "realizations": {"min": 1_000, "max": 2 * one, "halfwidth": round(1 / one**0.5, 4)},
            "refine": {"levels": 2, "times": [10.0]},
        },
    ]
