"""
The web page.

Read ``pages`` first: it has the routes; those of projects are in ``project_pages``, which ``releases`` groups.
``rendering`` renders the templates, ``assets`` loads scripts and styles.
"""
