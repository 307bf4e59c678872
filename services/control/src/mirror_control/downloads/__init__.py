"""
Download statistics from nginx's access log.

``access_log`` finds the log files; ``intake`` passes their lines through ``line`` → ``tally`` (which uses ``client``)
→ ``store``. ``statistics`` answers the API and the page by ``queries``, ``serving_metrics`` and ``edge_metrics`` answer
Prometheus.
"""
