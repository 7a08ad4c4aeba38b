"""Neural architecture search: one tree with holes, every family of search, a trained network at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nas.errors import UserError
from nas.fill import fill
from nas.graph import graph
from nas.module import CHANNELS, Module
from nas.problem import (
    Constraint,
    Objective,
    Problem,
    Proposal,
    State,
    Trial,
    at_most,
    maximise,
    minimise,
)
from nas.profile import profile
from nas.recorded import recorded
from nas.rewrite import rewrite
from nas.space import Architecture, Space, Spelling
from nas.tree import (
    Call,
    Chain,
    Choice,
    Concat,
    Cost,
    Dag,
    Each,
    Identity,
    Node,
    Refused,
    Scan,
    Sum,
    Take,
    TrainHead,
    Zero,
)

if TYPE_CHECKING:
    from nas.finding import Finding
    from nas.plugins import published
    from nas.searching import search

__version__ = "0.1.0"
LATER = {"search": "nas.searching", "Finding": "nas.finding", "published": "nas.plugins"}
"""Names that need torch, and where they are: they are imported when they are first asked for."""


def __getattr__(name: str) -> Any:
    if name in LATER:
        import importlib  # noqa: PLC0415  # only here

        module = importlib.import_module(LATER[name])
        found = globals()[name] = getattr(module, name)
        return found
    raise AttributeError(f"module 'nas' has no attribute {name!r}")


__all__ = [
    "Architecture",
    "CHANNELS",
    "Call",
    "Chain",
    "Choice",
    "Concat",
    "Constraint",
    "Cost",
    "Dag",
    "Each",
    "Finding",
    "Identity",
    "Module",
    "Node",
    "Objective",
    "Problem",
    "Proposal",
    "Refused",
    "Scan",
    "Space",
    "Spelling",
    "State",
    "Sum",
    "Take",
    "TrainHead",
    "Trial",
    "UserError",
    "Zero",
    "at_most",
    "fill",
    "graph",
    "maximise",
    "minimise",
    "profile",
    "published",
    "recorded",
    "rewrite",
    "search",
]
