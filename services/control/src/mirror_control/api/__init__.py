"""
The HTTP API, a module per noun.

They are ``status``, ``runs``, ``projects``, ``selection``, ``schedule``, ``downloads``, ``health``, ``docs`` and more.

``dependencies`` injects objects into routes, ``paging`` links the pages of a list, ``address`` finds the mirror's own
address, and ``examples`` adds examples to the OpenAPI document.
"""
