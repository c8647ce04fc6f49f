"""The damage laboratory: damage done to stores on purpose, what is then found, and what programs make of it."""
