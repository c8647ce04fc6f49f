"""The tests of cstore; each one is a sentence about behaviour."""
