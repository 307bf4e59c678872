"""
Who may call what: ``auth`` checks the right that each call needs.

``token`` is the operator's, ``named_tokens`` are others' with a right of their own (``rights``). ``hosts`` refuses
calls by foreign host names, ``audit`` logs each changing call.
"""
