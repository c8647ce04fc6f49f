"""Tests of cstore/drivers."""
