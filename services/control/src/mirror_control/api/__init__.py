"""
The HTTP API, a module a noun: ``status``, ``runs``, ``projects``, ``schedule``, ``downloads``, ``health``, ``docs``.

``dependencies`` are what routes are given; ``paging`` links the parts of a list; ``address`` is the mirror's own
address; ``examples`` illustrate the OpenAPI document.
"""
