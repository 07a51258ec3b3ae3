"""The science: simulation of the Random Quadratic Form on a sphere, and what is known exactly about it."""

from __future__ import annotations

#: Changes whenever the same parameters would give other bits than before; part of every content address.
NUMERICS_VERSION = "3"
