"""Timings against the Go tool; never part of the default run."""
