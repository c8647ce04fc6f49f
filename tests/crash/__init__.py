"""What a killed process or a full disk leaves behind."""
