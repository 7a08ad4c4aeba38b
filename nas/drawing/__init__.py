"""Drawings of networks: a graph becomes panels of boxes, and those an SVG."""

from __future__ import annotations

from nas.drawing.panels import Box, Panel, panels
from nas.drawing.svg import svg

__all__ = ["Box", "Panel", "panels", "svg"]
