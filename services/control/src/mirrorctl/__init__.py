"""
``mirrorctl``, the command line of a running mirror: each command calls control's API.

Read ``cli`` first. ``conversation`` calls control and turns every error into one line and an exit code; ``follow``
stays with a run, showing its progress; ``views`` shows answers to people.
"""
