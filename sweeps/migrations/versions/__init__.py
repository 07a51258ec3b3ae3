"""Revisions, in order."""

from __future__ import annotations
