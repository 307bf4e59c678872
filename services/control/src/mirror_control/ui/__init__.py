"""
The web page.

A module of routes per noun: ``status_page``, ``run_pages``, ``policy_page``, ``project_pages``, ``download_pages``;
``pages`` has the others. ``actions`` says what a person may do from the page, and ``action_pages`` does it;
``project_forms`` receives the forms of ``forms.html``. ``access.form_token`` takes their token, and ``problem_pages``
shows what was wrong with one. ``releases`` and ``failure_groups`` group what a page shows, ``chart`` draws it.
``rendering`` renders the templates, ``assets`` loads scripts and styles.
"""
