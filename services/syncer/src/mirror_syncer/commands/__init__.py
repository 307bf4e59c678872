"""
The command line, ``mirror-syncer``.

Read ``cli`` first: each command is a function there, or in ``policy_commands`` if it is about ``mirror.toml``; what
all of them share is in ``console``. ``follow`` runs a sync or a verify, here or in the service that
already holds the tree (``running_service``), and shows its progress. ``planning`` makes the plan of a sync:
``estimate`` says what each project costs, ``plan_dependencies`` what all of them need, both by an index that is asked
once for each page (``remembered_index``). ``plan_report`` shows it, with ``dependency_tables``. ``checking`` judges a
candidate for ``mirror.toml``. ``requirements_check`` says whether a file's requirements would install, from the
``installable_files`` of upstream or of the mirror.
``adoption/`` takes over another program's tree, and ``bandersnatch_conf/`` its configuration; ``importing/`` adds what
an application requires to ``mirror.toml``, by ``import_choices``. ``whole_file`` writes what people keep. ``clearing``
frees a path that wrong content occupies.
"""
