"""Chaos: processes are killed at random while sweeps run, and nothing of the result may change."""
