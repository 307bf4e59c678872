"""The mirror's thin edge: trigger, status and metrics over HTTP."""
