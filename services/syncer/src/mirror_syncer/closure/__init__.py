"""
The dependency closure: which releases the selected ones need, what these need, and so on, with a proof.

Read ``requirements`` first: what a release needs, and ``environments``: on which machines. Both stand on text from
strangers, which ``metadata`` and ``markers`` read. ``source`` finds pages and metadata, here or upstream. ``demands``
follows requirements until nothing new is needed; ``solver`` and ``proof`` show that each line can be installed from
what is kept. ``installation`` answers for requirements that nothing demands yet, from upstream or by ``mirror_source``.
"""
