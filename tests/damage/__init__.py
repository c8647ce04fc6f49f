"""The damage laboratory: what can happen to a store, done to stores on purpose, and what is then found."""
