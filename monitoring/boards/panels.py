"""
Builders for the dashboards: a board, its rows, and four kinds of panels.

Every panel has a title, a description, a unit, and queries by legend. Panels flow from left to right, 24 columns per
line.
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
    VariableHide,
    VariableRefresh,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

Panel = stat.Panel | timeseries.Panel | bargauge.Panel | table.Panel
AnyPanel = TypeVar("AnyPanel", stat.Panel, timeseries.Panel, bargauge.Panel, table.Panel)

_TAG = "pypi-mirror"
_SOURCE = DataSourceRef(type_val="prometheus", uid="${datasource}")
_COLOURS = ("green", "yellow", "red")


def board(name: str, title: str, description: str, rows: Mapping[str, Sequence[Panel]]) -> dashboard.Dashboard:
    """Return a dashboard with links to the others; a row without a name has no heading."""
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
            dashboard.DashboardLink("Other dashboards")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .keep_time(True)  # noqa: FBT003 - the library's signature
            .include_vars(True)  # noqa: FBT003 - as above
        )
        .with_variable(
            dashboard.QueryVariable("page")
            .datasource(_SOURCE)
            .query("label_values(pypi_mirror_page_info, url)")
            .hide(VariableHide.HIDE_VARIABLE)
            .refresh(VariableRefresh.ON_DASHBOARD_LOAD)
        )
        .link(
            dashboard.DashboardLink("The mirror's page")
            .type(DashboardLinkType.LINK)
            .url("${page}/ui/")
            .target_blank(True)  # noqa: FBT003 - as above
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
    Return a panel that shows the current value as a number.

    Args:
        steps: thresholds for yellow and red; descending ones mean that lower is worse.
        words: texts for the values 0, 1, and so on.
        none: the text if there is no value.
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
        panel.mappings([_value_texts({str(number): word for number, word in enumerate(words)})])
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
    """Return a graph of one or more queries over time, by legend."""
    panel = (
        _described(timeseries.Panel(), title, description, unit)
        .height(8)
        .span(width)
        .min(0)
        .line_width(1)
        .fill_opacity(40 if stacked else 10)
        .show_points(VisibilityMode.NEVER)
        .legend(common.VizLegendOptions().display_mode(LegendDisplayMode.LIST).show_legend(True))  # noqa: FBT003 - as above
        .tooltip(common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI))
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for letter, (legend, query) in zip("ABCDEF", queries.items(), strict=False):
        panel.with_target(_target(query).range().legend_format(legend).ref_id(letter))
    return panel


def ranking(title: str, description: str, *, unit: str, queries: Mapping[str, str], width: int = 12) -> bargauge.Panel:
    """Return a bar for the current value of each series."""
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
    title: str, description: str, *, query: str, columns: Mapping[str, str], texts: Mapping[str, Mapping[str, str]]
) -> table.Panel:
    """
    Return a table with a line for each current series of a query.

    Args:
        query: its value is a time in milliseconds, or 0 for none.
        columns: labels in order, including ``Value``, each with its heading.
        texts: for a label, the texts that replace its values.
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
                DynamicConfigValue(id_val="mappings", value=[_value_texts({"0": "–"})]),
            ],
        )
    )
    for label, replacements in texts.items():
        values = [
            DynamicConfigValue(id_val="mappings", value=[_value_texts(replacements)]),
            DynamicConfigValue(id_val="custom.cellOptions", value={"type": "auto", "wrapText": True}),
            DynamicConfigValue(id_val="custom.minWidth", value=600),
        ]
        panel.override_by_name(columns[label], values)
    return panel


def as_json(built: dashboard.Dashboard) -> str:
    """Return a dashboard as the JSON that Grafana reads."""
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def _described(panel: AnyPanel, title: str, description: str, unit: str) -> AnyPanel:
    return panel.title(title).description(description).unit(unit).datasource(_SOURCE)


def _value_texts(texts: Mapping[str, str]) -> ValueMap:
    """Return Grafana's mapping of values to texts."""
    return ValueMap({value: ValueMappingResult(text=text) for value, text in texts.items()})


def _target(query: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().datasource(_SOURCE).expr(query).ref_id("A")
