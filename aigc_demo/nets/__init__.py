"""Network parts that at least two families share."""
