"""Tests of cstore/archive."""
