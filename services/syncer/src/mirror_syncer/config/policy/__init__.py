"""
The policy as values: what ``mirror.toml`` and its inputs say, parsed.

Read ``policy`` first: all of it. ``project_policy`` is what it says about one project: ``selection`` (its lines),
``age``, ``block``, ``file_rules``; ``patterns`` match names. ``closure`` is what the selected projects depend on, and
``roots`` is where it starts.
``fingerprints`` tell which pages a new policy changes, and ``contradictory_rules`` which rules exclude each other.
"""
