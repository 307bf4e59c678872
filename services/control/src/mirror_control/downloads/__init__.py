"""
Who downloaded what: nginx's access log, counted.

``access_log`` finds the files, ``intake`` drives them through ``line`` → ``tally`` (by ``client`` and by
the file's name) → ``store``. ``statistics`` answers the API, ``served`` Prometheus.
"""
