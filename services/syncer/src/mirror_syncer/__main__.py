"""``python -m mirror_syncer`` is ``mirror-syncer``."""

from mirror_syncer.cli import main

if __name__ == "__main__":  # processes that it starts import it, too
    main()
