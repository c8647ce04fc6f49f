"""Tests of cstore/fs."""
