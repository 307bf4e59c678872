"""Control: triggers, status and metrics of the mirror over HTTP."""
