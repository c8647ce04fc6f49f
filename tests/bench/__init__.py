"""Timings against the Go tool containers-storage; never part of the default run.

`python -m tests.bench` (or `make bench`) prints a table. A figure is the ratio cstore ÷ peer of medians over
interleaved runs, wall clock; below 1 is faster. As root every run gets a fresh ext4 in memory: deleting many files
makes later creations on the same file system slower for minutes, which would hide everything else.
"""
