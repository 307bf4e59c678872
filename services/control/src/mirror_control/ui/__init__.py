"""
The web page.

Read ``pages`` first: it has the routes. ``rendering`` renders the templates, ``assets`` loads scripts and styles.
"""
