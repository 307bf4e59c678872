"""
The API client, which ``mirrorctl``, the page and control itself share.

``api_client`` makes the calls; ``schemas`` and ``download_schemas`` are the API's types beyond the contract. ``issues``
and ``health`` judge a status, ``formatting`` writes times and numbers for people.
"""
