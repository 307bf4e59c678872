"""
Access control: ``auth`` checks that a request's token has the right that the call needs.

``token`` holds the operator's token, ``named_tokens`` all others, each with its own right (``rights``). ``form_token``
takes the token of a form of the page. ``hosts`` refuses requests with unknown host names. ``audit`` logs each call that
changes something, and ``audit_trail`` keeps the last ones for the page.
"""
