"""Tests of cstore.check without a store, or with the smallest one."""
