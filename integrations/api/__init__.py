"""What clients' systems call."""
