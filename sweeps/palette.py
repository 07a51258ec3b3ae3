"""Colours of a phase diagram, on paper and on a terminal."""

from __future__ import annotations

#: Of the order parameter Φ from 0, two clusters, to 1, one cluster; in between it is interpolated.
CLUSTERS = ("#2b5c9e", "#9fbfdc", "#f4efe6", "#f0a868", "#b5391e")
#: Of tokens that are not clustered, into which the others fade; share of white in each channel.
UNCLUSTERED = 0.80
