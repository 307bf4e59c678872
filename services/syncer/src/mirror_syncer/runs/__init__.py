"""Runs: asked for, waiting, under way, ended; and what is told of them."""

from mirror_syncer.runs.active import FEW, PHASES, ActiveRun
from mirror_syncer.runs.book import Runs
from mirror_syncer.runs.ending import ending

__all__ = ["FEW", "PHASES", "ActiveRun", "Runs", "ending"]
