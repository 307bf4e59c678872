"""
HTTP for the mirror: libcurl in the event loop, with retries, limits and one budget of connections.

A request passes down these modules, and none knows those above it: ``client`` (whole responses, resumed downloads),
``exchange`` (one attempt, redirects included), ``retries``, ``routes`` (allowed hosts, proxies), ``curl`` (all
transfers), ``handle`` (one transfer). ``addresses`` chooses among the addresses of a host.
"""
