"""The committed dashboards, and their queries."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import promql_parser as promql

from monitoring.promtool import REPOSITORY

DIRECTORY = REPOSITORY / "monitoring" / "grafana" / "dashboards"


@dataclass(frozen=True)
class Query:
    """A query of a panel."""

    panel: str
    """Its dashboard and title."""
    expression: str

    def over(self, *, rate: str, shown: str) -> str:
        """Return it as Grafana sends it, with these spans for its own."""
        return self.expression.replace("$__rate_interval", rate).replace("$__range", shown)

    @property
    def parsed(self) -> Any:
        """Return its syntax tree."""
        return promql.parse(self.over(rate="2m", shown="1h"))


def boards() -> dict[str, dict[str, Any]]:
    """Return the dashboards by file name."""
    return {path.stem: json.loads(path.read_text()) for path in sorted(DIRECTORY.glob("*.json"))}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every panel but the rows' headings, with its dashboard's name."""
    for name, board in boards().items():
        yield from ((name, panel) for panel in board["panels"] if panel["type"] != "row")


def queries() -> list[Query]:
    """Return the queries of all panels."""
    return [
        Query(f"{name}: {panel['title']}", target["expr"]) for name, panel in panels() for target in panel["targets"]
    ]


def selectors(node: Any, *, inside: str = "") -> Iterator[tuple[str, str]]:
    """Yield each metric that an expression names, and the function that it is directly an argument of."""
    match node:
        case promql.VectorSelector():
            yield str(node.name), inside
        case promql.MatrixSelector():
            yield str(node.vector_selector.name), inside
        case promql.Call():
            for argument in node.args:
                yield from selectors(argument, inside=node.func.name)
        case promql.AggregateExpr() | promql.ParenExpr() | promql.UnaryExpr() | promql.SubqueryExpr():
            yield from selectors(node.expr)
        case promql.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)


def spans(expression: str) -> set[str]:
    """Return what stands in brackets, offsets of a subquery's step aside."""
    return set(re.findall(r"\[([^\]:]+)", expression))
