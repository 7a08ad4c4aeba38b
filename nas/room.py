"""How large an image must be for a network."""

from __future__ import annotations

from nas.graph import TooSmall, graph
from nas.tree import Node

MOST = 4096
"""No side above this is tried."""


def smallest(network: Node, channels: int) -> int | None:
    """The least side of a square image in which every layer has room, or None where there is none up to MOST.

    network: a tree for images (channels, side, side). A side above a good one is taken to be good.
    """
    high = 1
    while not _fits(network, channels, high):
        high *= 2
        if high > MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        if _fits(network, channels, middle):
            high = middle
        else:
            low = middle
    return high


def _fits(network: Node, channels: int, side: int) -> bool:
    try:
        graph(network, (channels, side, side))
    except TooSmall:
        return False
    return True
