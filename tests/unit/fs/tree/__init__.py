"""Tests of cstore/fs/tree."""
