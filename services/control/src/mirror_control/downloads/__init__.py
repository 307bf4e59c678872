"""
Who downloaded what: nginx's access log, counted.

``access_log`` finds the files, ``intake`` drives them through ``line`` → ``tally`` (by ``client`` and
``distribution``) → ``store``. ``statistics`` answers the API, ``served`` Prometheus.
"""
