"""Several rooms together, on the real kernel."""
