"""Tests of cstore/config."""
