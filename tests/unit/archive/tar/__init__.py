"""Tests of cstore/archive/tar."""
