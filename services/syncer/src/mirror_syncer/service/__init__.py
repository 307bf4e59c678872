"""
The container's process: everything that exists once, and outlives a run.

Read ``process`` first: it starts and stops all the rest. ``assembly`` builds the objects, after ``opening_checks`` have
proved that tree and catalog belong together. ``timetable`` starts runs by schedule. ``private_api``, at the socket of
``listener``, answers control with the status that ``status`` reads, and with advisories by ``osv_api``, which
``osv_queries`` finds. ``closure_facts`` and ``project_dependencies`` say what is known of dependencies.
``selection_api`` adds and removes lines by ``selection_lines``. ``project_list`` answers searches from
``project_index``, and ``project_about`` reads the summary of a release. ``snapshot`` supplies the metrics;
``status_file`` and ``webhooks`` inform other programs.
"""
