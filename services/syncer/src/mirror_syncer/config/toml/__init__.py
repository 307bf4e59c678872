"""
TOML for people.

``document`` reads a file by pydantic's models and reports all mistakes at once; ``lines`` finds the line of each key,
which ``tomllib`` does not tell; ``values`` writes a value into a message.
"""
