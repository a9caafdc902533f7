"""A dashboard of deploy/grafana drawn from a Prometheus's answers, for where there is no Grafana.

python -m tools.render_dashboard deploy/grafana/overview.json http://127.0.0.1:9090 FILE.png MINUTES

Each panel's own queries over the last minutes, in its place, with its title, unit and legend. Grafana looks different.
"""

import json
import re
import sys
import time
import urllib.parse
import urllib.request
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.dates
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, Formatter, PercentFormatter

from tools import grafana

POINTS = 150
LEGENDS = 8  # as many as a panel has room for
FORMATS: dict[str, Formatter] = {
    "percentunit": PercentFormatter(1.0),
    "s": EngFormatter("s"),
    "bytes": EngFormatter("B"),
    "Bps": EngFormatter("B/s"),
    "reqps": EngFormatter("/s", sep=""),
    "cps": EngFormatter("/s", sep=""),
}
STYLE: Any = {
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "legend.frameon": False,
    "legend.fontsize": 7,
}


def main(dashboard: str, prometheus: str, file: str, minutes: str) -> None:
    matplotlib.use("Agg")
    shown = json.loads(Path(dashboard).read_text())
    with matplotlib.rc_context(STYLE):
        draw(shown, prometheus, float(minutes) * 60).savefig(file, dpi=90)


def draw(dashboard: Any, prometheus: str, seconds: float) -> Figure:
    places = [panel["gridPos"] for panel in dashboard["panels"]]
    height = max(place["y"] + place["h"] for place in places)
    figure = Figure(figsize=(14, height * 0.42), layout="constrained")
    grid = figure.add_gridspec(height, max(place["x"] + place["w"] for place in places))
    for panel, place in zip(dashboard["panels"], places, strict=True):
        rows, columns = slice(place["y"], place["y"] + place["h"]), slice(place["x"], place["x"] + place["w"])
        _draw_panel(figure.add_subplot(grid[rows, columns]), panel, prometheus, seconds)
    return figure


def _draw_panel(axes: Any, panel: Any, prometheus: str, seconds: float) -> None:
    for target in panel["targets"]:
        for series in _answer(prometheus, grafana.filled(target["expr"], "1m"), seconds):
            times = [datetime.fromtimestamp(at, UTC) for at, _ in series["values"]]
            values = [float(value) for _, value in series["values"]]
            axes.plot(times, values, lw=1.2, label=_legend(target["legendFormat"], series["metric"]))
    axes.set_title(panel["title"], loc="left")
    unit = panel["fieldConfig"]["defaults"]["unit"]
    if unit in FORMATS:
        axes.yaxis.set_major_formatter(FORMATS[unit])
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
    if axes.lines:
        axes.legend(handles=axes.lines[:LEGENDS], loc="upper left", ncols=2).set_in_layout(False)
    else:
        axes.text(0.5, 0.5, "no data", ha="center", transform=axes.transAxes)


def _answer(prometheus: str, query: str, seconds: float) -> Any:
    now = time.time()
    asked = {"query": query, "start": now - seconds, "end": now, "step": max(1, round(seconds / POINTS))}
    with urllib.request.urlopen(
        f"{prometheus}/api/v1/query_range?{urllib.parse.urlencode(asked)}", timeout=10
    ) as reply:
        return json.load(reply)["data"]["result"]


def _legend(form: str, labels: dict[str, str]) -> str:
    return re.sub(r"{{(\w+)}}", lambda found: labels.get(found[1], ""), form).strip()


if __name__ == "__main__":
    main(*sys.argv[1:])
