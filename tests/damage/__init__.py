"""The damage laboratory: what can happen to a store, done on purpose, what is then found, and what programs make of it."""
