"""One file a modality; `modality.kinds()` finds them by their file names."""
