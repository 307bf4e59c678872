"""
The web page.

A module of routes per noun: ``status_page``, ``run_pages``, ``policy_page``, ``project_pages``; ``pages`` has the
others. ``actions`` says what a person may do from the page, and ``action_pages`` does it. ``releases`` and
``failure_groups`` group what a page shows.
``rendering`` renders the templates, ``assets`` loads scripts and styles.
"""
