"""One file a family; `model.families()` finds them by their file names."""
