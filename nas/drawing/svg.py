"""Panels as SVG: boxes in layers, edges between them (Sugiyama et al. 1981, with barycentres), nothing but text."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import final

from nas.drawing.panels import BY, Box, Panel

HIGH, GAP, STEP, CHAR, PAD, WIDEST = 30, 26, 18, 6.6, 12, 60
"""Of a box: its height, the room below and beside it, the width of a letter, its margin; letters of a line."""
COLOURS = {
    "input": ("#ffffff", "#868e96"),
    "output": ("#ffffff", "#868e96"),
    "weights": ("#dbe9ff", "#3b6fb6"),
    "plain": ("#f1f3f5", "#868e96"),
    "block": ("#efe5fb", "#7b4bb3"),
    "sum": ("#fff3d6", "#b7791f"),
    "concat": ("#e3f6e8", "#2f855a"),
}
SIGNS = {"sum": "+", "concat": "‖"}
STYLE = (
    "text{font:12px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#212529}.h{font-weight:600;font-size:14px}"
    ".n{fill:#868e96;font-size:10.5px}.e{fill:none;stroke:#adb5bd;stroke-width:1.3}"
)


@final
@dataclass(eq=False)
class _Place:
    x: float
    y: float
    wide: float


def svg(panels: list[Panel], height: float = 1100) -> str:
    """One SVG of all panels: the first on the left, the others in columns of about this height beside it."""
    drawn = [_panel(panel) for panel in panels]
    parts: list[str] = []
    x, y, column, low = 20.0, 20.0, 0.0, 0.0
    for n, (body, wide, high) in enumerate(drawn):
        if n == 1 or (n > 1 and y + high > max(height, drawn[0][2])):
            x, y, column = x + column + 50, 20.0, 0.0
        parts.append(f'<g transform="translate({x:.0f} {y:.0f})">{body}</g>')
        y, column = y + high + 40, max(column, wide)
        low = max(low, y)
    size = f'width="{x + column + 20:.0f}" height="{low:.0f}"'
    arrow = (
        '<marker id="a" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="6" markerHeight="6" orient="auto">'
        '<path d="M0 0L8 4L0 8z" fill="#adb5bd"/></marker>'
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size}><defs>{arrow}</defs><style>{STYLE}</style>'
    return f'{head}<rect width="100%" height="100%" fill="#ffffff"/>{"".join(parts)}</svg>\n'


def _panel(panel: Panel) -> tuple[str, float, float]:
    """The drawing of a panel, its width and its height."""
    rows, edges = _layers(panel)
    places = _placed(panel, rows, edges)
    parts = [f'<text class="h" x="0" y="14">{escape(panel.title)}</text>']
    lines = {(path[0], path[-1]): path for path in edges}
    for a, b in panel.edges:
        parts.append(_edge([places[n] for n in lines[a, b]], panel.boxes[a], panel.boxes[b]))
    for n, box in enumerate(panel.boxes):
        parts.append(_box(box, places[n]))
    wide = max((p.x + p.wide / 2 for p in places.values()), default=0.0)
    return "".join(parts), max(wide, CHAR * len(panel.title)) + 60, 30 + len(rows) * (HIGH + GAP)


def _layers(panel: Panel) -> tuple[list[list[int]], list[list[int]]]:
    """Boxes by layer, with a bend for each layer that an edge passes; each edge as the numbers on its way."""
    layer = [0] * len(panel.boxes)
    for _ in panel.boxes:
        for a, b in panel.edges:
            layer[b] = max(layer[b], layer[a] + 1)
    for n in range(len(layer)):  # an input stands right above what reads it
        readers = [layer[b] for a, b in panel.edges if a == n]
        if panel.boxes[n].kind == "input" and readers:
            layer[n] = max(0, min(readers) - 1)
    rows: list[list[int]] = [[] for _ in range(max(layer, default=0) + 1)]
    for n, at in enumerate(layer):
        rows[at].append(n)
    ways, bend = [], len(layer)
    for a, b in panel.edges:
        way = [a]
        for at in range(layer[a] + 1, layer[b]):
            rows[at].append(bend)
            way.append(bend)
            bend += 1
        ways.append([*way, b])
    return rows, ways


def _placed(panel: Panel, rows: list[list[int]], ways: list[list[int]]) -> dict[int, _Place]:
    """Where each box and bend stands: rows are ordered, and moved, towards the mean of what they are joined to."""
    near: dict[int, list[int]] = {n: [] for row in rows for n in row}
    above: dict[int, list[int]] = {n: [] for n in near}
    for way in ways:
        for a, b in pairwise(way):
            near[a].append(b)
            near[b].append(a)
            above[b].append(a)
    wide = {n: _width(panel.boxes[n]) if n < len(panel.boxes) else 8.0 for n in near}
    x: dict[int, float] = {}
    for row in rows:
        _spread(row, wide, x, {n: _mean([x[m] for m in above[n] if m in x]) for n in row})
    for turn in range(12):
        for row in rows[:: -1 if turn % 2 == 0 else 1]:
            wish = {n: _mean([x[m] for m in near[n]], x[n]) for n in row}
            row.sort(key=lambda n: wish[n])
            _spread(row, wide, x, wish)
    left = min((x[n] - wide[n] / 2 for n in x), default=0.0)
    return {
        n: _Place(x[n] - left, 30 + k * (HIGH + GAP) + HIGH / 2, wide[n]) for k, row in enumerate(rows) for n in row
    }


def _spread(row: list[int], wide: dict[int, float], x: dict[int, float], wish: dict[int, float]) -> None:
    """Places a row as near to its wishes as its order and widths allow: to the right, and then the row's mean back."""
    edge = float("-inf")
    for n in row:
        x[n] = max(wish[n], edge + wide[n] / 2)
        edge = x[n] + wide[n] / 2 + STEP
    drift = _mean([x[n] - wish[n] for n in row])
    for n in row:
        x[n] -= drift


def _mean(values: list[float], other: float = 0.0) -> float:
    return sum(values) / len(values) if values else other


def _text(box: Box) -> str:
    if box.kind in SIGNS:
        return SIGNS[box.kind]
    text = box.title + (f" {BY}{box.times}" if box.times > 1 else "")
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"


def _width(box: Box) -> float:
    inner = CHAR * len(_text(box)) + 2 * PAD if box.kind not in SIGNS else HIGH
    return max(inner, 56.0) if box.kind not in SIGNS else inner


def _box(box: Box, at: _Place) -> str:
    fill, line = COLOURS[box.kind]
    x, y = at.x - at.wide / 2, at.y - HIGH / 2
    about = escape(box.title + (f", {box.note}" if box.note else "") + (f": see {box.detail}" if box.detail else ""))
    radius = HIGH / 2 if box.kind in (*SIGNS, "input", "output") else 6
    stack = ""
    look = f'width="{at.wide:.1f}" height="{HIGH}" rx="{radius}" fill="{fill}" stroke="{line}"'
    if box.times > 1:
        stack = f'<rect x="{x + 4:.1f}" y="{y + 4:.1f}" {look}/>'
    shape = f'<rect x="{x:.1f}" y="{y:.1f}" {look}/>'
    text = f'<text x="{at.x:.1f}" y="{at.y + 4:.1f}" text-anchor="middle">{escape(_text(box))}</text>'
    note = f'<text class="n" x="{x + at.wide + 8:.1f}" y="{at.y + 4:.1f}">{escape(box.note)}</text>' if box.note else ""
    return f"<g><title>{about}</title>{stack}{shape}{text}{note}</g>"


def _edge(way: list[_Place], start: Box, end: Box) -> str:
    first, *bends, last = way
    x, y = first.x, first.y + HIGH / 2
    path = [f"M{x:.1f} {y:.1f}"]
    for at in [*bends, last]:
        top = at.y - HIGH / 2
        middle = (y + top) / 2
        path.append(f"C{x:.1f} {middle:.1f} {at.x:.1f} {middle:.1f} {at.x:.1f} {top:.1f}")
        x, y = at.x, top
        if at is not last:
            y = at.y + HIGH / 2
            path.append(f"L{x:.1f} {y:.1f}")
    about = escape(f"{start.title} to {end.title}")
    return f'<path class="e" d="{"".join(path)}" marker-end="url(#a)"><title>{about}</title></path>'
