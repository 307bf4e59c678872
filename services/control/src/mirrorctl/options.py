"""Options that several of ``mirrorctl``'s commands have, each with its help."""

from datetime import datetime
from typing import Annotated

import typer

Projects = Annotated[list[str] | None, typer.Argument(metavar="PROJECT", help="These alone.", show_default=False)]
Follow = Annotated[bool, typer.Option("--follow", help="Stay until it ends; its outcome is the exit code.")]
AsJson = Annotated[bool, typer.Option("--json", help="For programs: what the API answers.")]
After = Annotated[str | None, typer.Option(help="Go on after the list before, by what that gave as next.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The first day, in UTC; without it 29 days ago."),
]
Top = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="How many of each list, the largest.")]
Limit = Annotated[int, typer.Option(min=1, max=200, metavar="N", help="At most so many.")]
