"""
How a dashboard of this mirror looks: a board, its rows, and four kinds of panel.

Every panel has a title, a sentence on what it tells, a unit, and queries by legend. Panels flow from left to right, 24
columns a line.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TypeVar

from grafana_foundation_sdk.builders import bargauge, common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.common import (
    BigValueColorMode,
    BigValueGraphMode,
    LegendDisplayMode,
    StackingMode,
    TooltipDisplayMode,
    VisibilityMode,
    VizOrientation,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    DynamicConfigValue,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel
AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel, bargauge.Panel, table.Panel)

_TAG = "pypi-mirror"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLOURS = ("green", "yellow", "red")


def board(name: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]]) -> dashboard.Dashboard:
    """Return a dashboard, linked with the others; a row without a name has no heading."""
    built = (
        dashboard.Dashboard(f"PyPI mirror / {title}")
        .uid(f"{_TAG}-{name}")
        .description(description)
        .tags([_TAG])
        .readonly()
        .timezone("browser")
        .time("now-24h", "now")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").label("Data source").type("prometheus"))
        .link(
            dashboard.DashboardLink("The others")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .keep_time(True)  # noqa: FBT003 - the library's
            .include_vars(True)  # noqa: FBT003 - as above
        )
    )
    number = 0
    for heading, panels in rows.items():
        if heading:
            number += 1
            built.with_row(dashboard.Row(heading).id(number))
        for panel in panels:
            number += 1
            built.with_panel(panel.id(number))
    return built


def tile(
    title: str,
    description: str,
    *,
    unit: str,
    query: str,
    steps: tuple[float, ...] = (),
    width: int = 6,
    decimals: int | None = None,
    none: str = "–",
    words: tuple[str, ...] = (),
) -> stat.Panel:
    """
    Return a number as it is now.

    Args:
        steps: from where on it is yellow, and red. Descending ones say that less is worse.
        words: what stands there for 0, 1, and so on.
        none: what stands there where nothing is known.
    """
    falling = len(steps) > 1 and steps[0] > steps[1]
    colours = tuple(reversed(_COLOURS)) if falling else _COLOURS
    bounds = (None, *(reversed(steps) if falling else steps))
    panel = (
        _described(stat.Panel(), title, description, unit)
        .height(4)
        .span(width)
        .with_target(_target(query).instant())
        .no_value(none)
        .graph_mode(BigValueGraphMode.NONE)
        .color_mode(BigValueColorMode.VALUE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(
            dashboard.ThresholdsConfig()
            .mode(ThresholdsMode.ABSOLUTE)
            .steps([Threshold(value=bound, color=colour) for bound, colour in zip(bounds, colours, strict=False)])
        )
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.THRESHOLDS))
    )
    if words:
        panel.mappings([_said({str(number): word for number, word in enumerate(words)})])
    return panel if decimals is None else panel.decimals(decimals)


def graph(
    title: str,
    description: str,
    *,
    unit: str,
    queries: Mapping[str, str],
    width: int = 12,
    stacked: bool = False,
) -> timeseries.Panel:
    """Return what became of one or more queries, by legend."""
    panel = (
        _described(timeseries.Panel(), title, description, unit)
        .height(8)
        .span(width)
        .min(0)
        .line_width(1)
        .fill_opacity(40 if stacked else 10)
        .show_points(VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))  # noqa: FBT003 - its
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for letter, (legend, query) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(_target(query).range().legend_format(legend).ref_id(letter))
    return panel


def ranking(title: str, description: str, *, unit: str, queries: Mapping[str, str], width: int = 12) -> bargauge.Panel:
    """Return bars side by side, one a series, as they are now."""
    panel = (
        _described(bargauge.Panel(), title, description, unit)
        .height(8)
        .span(width)
        .min(0)
        .orientation(VizOrientation.HORIZONTAL)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .color_scheme(dashboard.FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC))
    )
    for letter, (legend, query) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(_target(query).instant().legend_format(legend).ref_id(letter))
    return panel


def listing(
    title: str, description: str, *, query: str, columns: Mapping[str, str], told: Mapping[str, Mapping[str, str]]
) -> table.Panel:
    """
    Return a query's series as they are now, one a line.

    Args:
        query: its value is a point in time, in milliseconds, or 0 for none.
        columns: labels in their order, ``Value`` among them, each with its heading.
        told: by label, what stands there for its values.
    """
    panel = (
        _described(table.Panel(), title, description, "none")
        .height(5)
        .span(24)
        .with_target(_target(query).instant().format(PromQueryFormat.TABLE))
        .with_transformation(
            DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {label: index for index, label in enumerate(columns)},
                    "renameByName": dict(columns),
                },
            )
        )
        .override_by_name(
            columns["Value"],
            [
                DynamicConfigValue(id_val="unit", value="dateTimeFromNow"),
                DynamicConfigValue(id_val="mappings", value=[_said({"0": "–"})]),
            ],
        )
    )
    for label, texts in told.items():
        values = [
            DynamicConfigValue(id_val="mappings", value=[_said(texts)]),
            DynamicConfigValue(id_val="custom.cellOptions", value={"type": "auto", "wrapText": True}),
            DynamicConfigValue(id_val="custom.minWidth", value=600),
        ]
        panel.override_by_name(columns[label], values)
    return panel


def as_json(built: dashboard.Dashboard) -> str:
    """Return a dashboard's file."""
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _described(panel: AnyPanel, title: str, description: str, unit: str) -> AnyPanel:
    return panel.title(title).description(description).unit(unit).datasource(_SOURCE)


def _said(texts: Mapping[str, str]) -> ValueMap:
    """Return a mapping of values to texts."""
    return ValueMap({value: ValueMappingResult(text=text) for value, text in texts.items()})


def _target(query: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(_SOURCE).expr(query).ref_id("A")
