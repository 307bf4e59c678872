"""
The page for people.

Read ``pages`` first: its routes; ``rendering`` fills the templates beside it, ``assets`` serves scripts and style.
"""
