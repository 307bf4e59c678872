"""How an older catalog becomes today's."""
