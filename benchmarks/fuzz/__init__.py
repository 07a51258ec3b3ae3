"""Requests that nobody would send, to a real service. See docs/fuzz.md."""
