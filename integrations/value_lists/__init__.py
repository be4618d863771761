"""Lists of values that jobs look things up in."""
