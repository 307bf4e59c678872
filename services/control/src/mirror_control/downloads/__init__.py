"""
Who downloaded what: nginx's access log, counted.

``line`` → ``tally`` (by ``client`` and ``distribution``) → ``store``, driven by ``intake``. ``statistics`` answers
the API, in ``shapes``, and ``served`` Prometheus.
"""
