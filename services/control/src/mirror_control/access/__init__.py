"""
Access control: ``auth`` checks that a request's token has the right that the call needs.

``form_token`` takes the token of a form of the page. ``token`` holds the operator's token, ``named_tokens`` all others, each with its own right (``rights``). ``hosts``
refuses requests with unknown host names. ``audit`` logs each call that changes something.
"""
