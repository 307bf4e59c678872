"""
Control's process: ``process`` starts Uvicorn, ``application`` puts the ASGI application together.

``connections`` limits how many clients there are and how long each may take; ``body_limit`` how much a request may
send; ``head`` answers HEAD wherever there is a GET.
"""
