"""Tests of cstore/kernel."""
