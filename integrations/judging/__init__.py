"""The Processr judges leads: jobs compiled, questions answered, scores, caps, and what waits for a person."""
