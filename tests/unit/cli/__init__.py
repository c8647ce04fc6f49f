"""Tests of cstore/cli."""
