"""
Control's process: ``process`` starts Uvicorn, ``application`` assembles the ASGI application.

``connections`` limits the number of clients and the time that each may take, ``body_limit`` the size of a request.
``head`` answers HEAD for every GET.
"""
