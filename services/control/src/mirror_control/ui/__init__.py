"""
The web page.

Read ``pages`` first: it has the routes; those of projects are in ``project_pages``, which ``releases`` groups, and
those of downloads in ``download_pages``, which ``chart`` draws. ``project_forms`` receives the forms of ``forms.html``,
whose tokens ``access.form_token`` takes; ``problem_pages`` shows what was wrong with one. ``rendering`` renders the
templates, ``assets`` loads scripts and styles.
"""
