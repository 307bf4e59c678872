"""
``mirror.toml``: how the policy is read, and which one is in force.

Read ``source`` first: the policy in force. ``last_good`` keeps it across restarts; ``file`` finds and reads the file.
``tables`` is it as pydantic models, with ``dependencies`` for two of them, and ``project_line`` and ``rule_lines`` for
single lines.
``inputs`` adds what stands elsewhere: lock files, advisories, the versions that people released, the lines that people
added (``added_lines``), and the closure.
"""
