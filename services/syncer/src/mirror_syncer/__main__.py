"""``python -m mirror_syncer`` is ``mirror-syncer``."""

from mirror_syncer.commands.cli import main

main()
