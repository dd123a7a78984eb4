"""Where content comes from, said in the file itself."""
