"""
The import of a configuration of bandersnatch 7 or 8.

Read ``conversion`` first: it reads the file (``ini_file``), converts each option, and returns a ``mirror.toml``
(``policy_document``) and what became of every option (``findings``). ``project_lists`` reads the lists of names and the
requirement files (``requirement_lines``), and says what bandersnatch's filters choose together. Each converter writes
a part of the document: ``project_filters``, ``release_filters``, ``machine_filters``, ``file_filters`` and
``mirror_options``.
"""

from mirror_syncer.commands.bandersnatch_conf.conversion import Conversion, convert, read_configuration

__all__ = ["Conversion", "convert", "read_configuration"]
