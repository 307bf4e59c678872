"""
``mirrorctl``, the command line of a running mirror: each command calls control's API.

Read ``cli`` first. ``api_call`` calls control and turns every error into one line and an exit code; ``follow`` shows
the progress of a run; ``policy_change`` makes a change and follows its run; ``views`` formats answers for people.
"""
