"""
The web page.

A module of routes per noun: ``status_page``, ``run_pages``, ``policy_page``, ``project_list``, ``project_pages``,
``download_pages``, ``held_pages``, ``audit_page``; ``pages`` has the others. ``actions`` says what a person may do from
the page, ``action_pages`` does it, ``done_page`` says what was done; ``project_forms`` adds and lists lines.
``access.form_token`` takes the token of a form, and ``problem_pages`` shows what was wrong with one. ``releases`` and
``run_effects`` say what a project and a run are about, ``chart`` draws, ``frequent_counts`` counts ahead. ``rendering``
renders the templates, ``assets`` loads scripts and styles.
"""
