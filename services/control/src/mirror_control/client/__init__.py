"""
What a client of the API knows: the page, ``mirrorctl``, and control itself towards the syncer.

``api_client`` makes the calls; ``shapes`` and ``download_shapes`` are what they say beyond the contract. ``concerns``
and ``verdict`` judge what a status means for a person, ``words`` puts times and numbers into words.
"""
