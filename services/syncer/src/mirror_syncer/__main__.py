"""``python -m mirror_syncer`` is ``mirror-syncer``."""

from mirror_syncer.cli import main

main()
