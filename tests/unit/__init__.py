"""One module at a time, without root where that is possible."""
