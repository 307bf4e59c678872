"""
The command line, ``mirror-syncer``.

Read ``cli`` first: each command is a function there. ``follow`` runs a sync or a verify, here or in the service that
already holds the tree (``running_service``), and shows its progress. ``plan_report`` shows what a sync would do.
``adoption/`` takes over another program's tree, and ``bandersnatch_conf/`` its configuration; ``importing/`` adds what
an application requires to ``mirror.toml``. ``clearing`` frees a path that wrong content occupies.
"""
