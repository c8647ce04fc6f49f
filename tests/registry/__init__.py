"""Registries, spoken to over good lines and bad ones."""
