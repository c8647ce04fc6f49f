"""A directory of packages of drivers: what somebody else would add."""
