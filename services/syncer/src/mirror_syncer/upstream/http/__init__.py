"""
HTTP for the mirror: libcurl in the event loop, with retries, limits and one budget of connections.

A request goes down these modules, and none knows of those above it: ``client`` (whole answers, resumed downloads),
``exchange`` (one attempt, along redirects), ``retries``, ``routes`` (may this host be asked, and by which proxy),
``curl`` (all transfers), ``handle`` (one transfer). ``addresses`` chooses among a host's machines.
"""
