"""The page for people: what its templates are given, a module a noun. Its routes are routes/pages.py."""
