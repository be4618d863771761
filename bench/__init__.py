"""`make bench`: how fast the portal is on this machine, measured beside what the machine can do at all (docs/benchmarks.md)."""
