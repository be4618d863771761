"""The tracking API, compatible with Segment's: calls of browsers, apps and servers become events."""
