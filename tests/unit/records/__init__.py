"""Tests of the record files."""
