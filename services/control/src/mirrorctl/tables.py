"""Tables for people: lists with headings, and facts with names."""

from rich.table import Table


def new_facts() -> Table:
    """Return an empty table of facts, each a name and a value."""
    facts = Table.grid(padding=(0, 2))
    facts.add_column(style="dim", no_wrap=True)
    facts.add_column()
    return facts


def new_table(*headings: str, padding: int = 2) -> Table:
    """Return an empty table with headings."""
    table = Table(box=None, header_style="dim", padding=(0, padding, 0, 0))
    for heading in headings:
        # Only the last column may wrap, since it has the longest text. Names stay whole, so that they can be copied.
        table.add_column(heading, overflow="fold", no_wrap=heading != headings[-1])
    return table
