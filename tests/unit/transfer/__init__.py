"""Tests of the transfer of images: formats, checks, and what comes of a load and a save."""
