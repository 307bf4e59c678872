"""The API's calls, a module a noun."""
