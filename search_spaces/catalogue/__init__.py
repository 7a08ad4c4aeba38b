"""The published networks, by their names: each is an architecture of a space, with its source."""

from __future__ import annotations

from collections.abc import Mapping

from nas.paper import Published
from search_spaces.catalogue import (
    darts,
    ddarts,
    deepmad,
    efficientnet,
    mobile,
    nasbench,
    nasnet,
    ofa,
    regnet,
    resnet,
    shufflenet,
    transformers,
)

FAMILIES: tuple[tuple[Published, ...], ...] = (
    deepmad.NETWORKS,
    resnet.NETWORKS,
    regnet.NETWORKS,
    darts.NETWORKS,
    nasnet.NETWORKS,
    ddarts.NETWORKS,
    nasbench.NETWORKS,
    shufflenet.NETWORKS,
    mobile.NETWORKS,
    efficientnet.NETWORKS,
    ofa.NETWORKS,
    transformers.NETWORKS,
)

PUBLISHED: Mapping[str, Published] = {p.name: p for family in FAMILIES for p in family}
"""Every published network by its name."""
