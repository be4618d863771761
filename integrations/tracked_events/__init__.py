"""Tracked events on their way to destinations, and audiences that destinations are told of."""
