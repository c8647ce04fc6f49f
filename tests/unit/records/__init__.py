"""Tests of cstore/records."""
