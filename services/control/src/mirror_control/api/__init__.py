"""
The HTTP API, a module per noun: ``status``, ``runs``, ``projects``, ``schedule``, ``downloads``, ``health``, ``docs``.

``dependencies`` injects objects into routes, ``paging`` links the pages of a list, ``address`` finds the mirror's own
address, and ``examples`` adds examples to the OpenAPI document.
"""
