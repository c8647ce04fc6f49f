"""One suite a contract, run over every implementation."""
