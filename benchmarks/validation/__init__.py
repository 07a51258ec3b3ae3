"""Validation: every exact result against simulation, the laws of two schemes, and the error of a step."""

from __future__ import annotations
