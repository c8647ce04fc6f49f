"""Tests of cstore/store."""
