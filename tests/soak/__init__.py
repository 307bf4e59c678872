"""A long run under changes and faults, to see whether the syncer loses, delays or leaks: ``scripts/soak --help``."""
