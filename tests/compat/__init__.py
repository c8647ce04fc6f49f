"""Other tools on the same store, and real input."""
