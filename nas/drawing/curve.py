"""A trade-off curve as one HTML page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e", "#9498a0")
"""Of lines with bands, in turn."""


@final
class Curve:
    """Lines over one axis, on a logarithmic scale: what is given is a budget, what is shown is what it buys."""

    def __init__(self, title: str, x: str, y: str) -> None:
        self._title, self._x, self._y = title, x, y
        self._lines: list[dict[str, Any]] = []

    def line(self, name: str, points: Sequence[tuple[float, float]], notes: Sequence[str] = (), dash: str = "") -> None:
        """A line through points (x, y); notes: shown beside each point, as lines of text."""
        style: Mapping[str, Any] = {"line": {"dash": dash}} if dash else {}
        hover = {"text": [note.replace("\n", "<br>") for note in notes], "hoverinfo": "text"} if notes else {}
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        self._lines.append({"name": name, "x": xs, "y": ys, "mode": "lines+markers", **style, **hover})

    def band(
        self, name: str, points: Sequence[tuple[float, float]], low: Sequence[float], high: Sequence[float]
    ) -> None:
        """A line through points (x, y), and the area between two others, in its colour."""
        colour = COLOURS[len(self._lines) // 2 % len(COLOURS)]
        xs, ys = [p[0] for p in points], [p[1] for p in points]
        area = {"x": [*xs, *reversed(xs)], "y": [*high, *reversed(low)], "fill": "toself", "opacity": 0.15}
        hidden = {"mode": "none", "showlegend": False, "hoverinfo": "skip", "legendgroup": name}
        self._lines.append({**area, **hidden, "fillcolor": colour})
        line = {"mode": "lines+markers", "line": {"color": colour}, "legendgroup": name}
        self._lines.append({"name": name, "x": xs, "y": ys, **line})

    def html(self) -> str:
        """The page."""
        import plotly.graph_objects as go  # noqa: PLC0415  # half a second, for one flag

        figure = go.Figure([go.Scatter(**line) for line in self._lines])
        figure.update_layout(title=self._title, template="plotly_white", legend={"orientation": "h", "y": -0.2})
        figure.update_xaxes(title=self._x, type="log")
        figure.update_yaxes(title=self._y)
        made: str = figure.to_html(include_plotlyjs=True, full_html=True)
        return made
