"""Options that several commands of ``mirrorctl`` share, each with its help text."""

from datetime import datetime
from typing import Annotated

import typer

Projects = Annotated[
    list[str] | None, typer.Argument(metavar="PROJECT", help="Only these projects.", show_default=False)
]
Follow = Annotated[bool, typer.Option("--follow", help="Wait until the run ends, and exit with its outcome.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the API's JSON, for programs.")]
After = Annotated[str | None, typer.Option(help="Continue a list: the value that the previous page printed.")]
Since = Annotated[
    datetime | None,
    typer.Option(formats=["%Y-%m-%d"], metavar="DAY", help="The first day, in UTC; 29 days ago by default."),
]
Top = Annotated[int, typer.Option(min=1, max=1000, metavar="N", help="Maximum length of each list, largest first.")]
Limit = Annotated[int, typer.Option(min=1, max=200, metavar="N", help="Maximum number of entries.")]
