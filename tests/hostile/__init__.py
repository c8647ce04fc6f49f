"""Archives made to harm: none may touch anything outside its layer."""
