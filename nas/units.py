"""Quantities as people write them: 150k parameters, 4.5G MACs, 5ms."""

from __future__ import annotations

import re

from nas.errors import UserError, nearest
from nas.problem import Constraint

LIMITS = {"params": "params", "macs": "macs", "activations": "activations", "latency": "latency_s"}
"""What can be limited, as a user writes it, and the metric's name."""
COUNTS = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12}
TIMES = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
WRITTEN = re.compile(r"\s*([0-9]+(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?)\s*([A-Za-z]*)\s*\Z")


def limit(text: str) -> Constraint:
    """The constraint of `METRIC=VALUE`: params=150k, macs=4.5M, latency=5ms.

    Raises UserError for an unknown metric, a value that is no positive number, or a unit of another kind.
    """
    name, given, value = text.partition("=")
    if not given:
        raise UserError(f"a limit is METRIC=VALUE, got {text!r}", fix="for example --max params=150k")
    if name not in LIMITS:
        raise nearest(name, LIMITS, what="metric that can be limited")
    units = TIMES if name == "latency" else COUNTS
    read = WRITTEN.match(value)
    if read is None or read[2] not in units or float(read[1]) <= 0:
        known = "5ms, 0.01s" if name == "latency" else "150000, 150k, 4.5M, 1G"
        raise UserError(f"--max {name} needs a number above 0 with a unit, got {value!r}", fix=f"write it like {known}")
    return Constraint(LIMITS[name], float(read[1]) * units[read[2]])


def count(value: float) -> str:
    """A count for people: 73.3k, 1.53M."""
    for unit, size in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.0f}"


def quantity(metric: str, value: float) -> str:
    """A metric's value for people, with its unit."""
    if metric.endswith("_s"):
        return duration(value) if value >= 10 else f"{1000 * value:.3g} ms"
    return count(value) if metric in COUNTED else f"{value:.4f}"


COUNTED = ("params", "macs", "activations")


def duration(seconds: float) -> str:
    """A time for people: 42 s, 3 min 20 s, 2 h 5 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
