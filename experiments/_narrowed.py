"""A network made narrower throughout, to as many MACs as another has."""

from __future__ import annotations

from nas.profile import profile
from nas.tree import Node, Shape
from search_spaces.scaling import Factors, scaled


def narrowed(network: Node, shape: Shape, macs: float) -> Node:
    """The network with all its widths scaled by one factor, that which comes nearest to so many MACs."""
    tried = [scaled(network, shape, Factors(width=k / 50))[0] for k in range(15, 51)]
    return min(tried, key=lambda net: abs(profile(net, shape).total.macs - macs))
