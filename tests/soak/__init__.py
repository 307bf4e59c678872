"""A long time of changes and faults, and what the syncer has become after it: ``scripts/soak --help``."""
