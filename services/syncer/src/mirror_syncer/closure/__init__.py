"""
The dependency closure: which releases the selected ones need, what these need, and so on, with a proof.

Read ``resolution`` first: from a policy to its ``Closure``, step by step. Then, in this order:

- What a release requires: ``metadata`` finds the lines in what strangers upload, ``requirements`` reads them as needs,
  and ``environments`` says on which machines one counts, by its ``markers``.
- Where that comes from: ``source`` is what the resolution asks. ``closure_source`` answers by ``page_source`` and
  ``metadata_source``, from what is stored here, else by ``requests`` to upstream. ``mirror_source`` knows only what is
  published.
- What is needed: ``demands`` follows requirements until nothing new is needed. ``project`` holds what is demanded of
  one project, on which clients (``client_masks``), and for whom (``origin``); ``release_reader`` reads its releases.
- Whether it can be installed: ``witnesses`` proves each line on each machine. ``machine_releases`` are what the solver
  may choose from (``releases`` is the border), and ``wheel_releases`` those that it need not build; its thread
  ``waits`` for what is fetched. ``solver`` searches with ``provider``, in a ``requirement_graph`` of ``version_sets``,
  as long as the ``patience`` for all proofs lasts. It ends with a ``proof`` or a ``refutation``.
- What follows: ``unmet`` requirements, the ``order`` of publication, and whether the closure exceeds ``limits``.

``installation`` answers for requirements that nothing demands yet, by the same proofs.
"""
