"""A proof as JSON, and its check, which solves nothing: it evaluates the dual at the multipliers that are stated.

Of each depth vector, in the order of the template's options, the certificate has the number of a point of the dual
(-1: open) and the bound there; null for a bound says that the point is a ray that proves infeasibility.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from math import ceil, inf, isfinite
from typing import Any, final

import numpy as np

from nas.errors import UserError
from nas.programs.deepmad.branch import Cut, Leaf, boxed, halves
from nas.programs.deepmad.costs import Array
from nas.programs.deepmad.dual import Dual, Multipliers
from nas.programs.deepmad.enumerate import above
from nas.programs.deepmad.measure import Batch, feasible, measure
from nas.programs.deepmad.problem import Budgets, Design, Score, Template, broken
from nas.programs.deepmad.proof import BRANCHED, OPEN, RAY, Proof, vectors
from nas.programs.deepmad.spans import spans

FORMAT = 1
NEAR = 1e-7
"""Recomputed numbers may differ from stated ones by this part: sums round differently on another machine."""
DIGITS = 4
"""Bounds are written with so many decimals, rounded up."""


@final
@dataclass(frozen=True)
class Checked:
    """What a certificate was found to prove.

    vectors: how many depth vectors there are, of them `infeasible`, `bounded`, `branched` and `open`.
    value, bound: of the best design (-inf for none), and of all designs.
    """

    design: Design
    value: float
    bound: float
    vectors: int
    infeasible: int
    bounded: int
    branched: int
    open: int


def written(proof: Proof, design: Design, value: float | None, status: str) -> dict[str, Any]:
    """The certificate of a proof; only points that bound a vector are kept."""
    used, at = np.unique(proof.by[proof.by >= 0], return_inverse=True)
    by = proof.by.copy()
    by[proof.by >= 0] = at
    made: dict[str, Any] = {
        "format": FORMAT,
        "template": asdict(proof.dual.template),
        "score": asdict(proof.dual.score),
        "budgets": {k: v if isfinite(v) else None for k, v in asdict(proof.dual.budgets).items()},
        "status": status,
        "design": asdict(design),
        "value": value,
        "points": [_point(proof.points[n]) for n in used.tolist()],
        "by": by.tolist(),
        "bounds": [_up(b) for b in proof.bounds.tolist()],
        "trees": {str(n): [_node(node) for node in tree.nodes] for n, tree in proof.trees.items() if by[n] == BRANCHED},
    }
    if not isfinite(made["template"]["steepest"]):
        made["template"]["steepest"] = None
    made = json.loads(json.dumps(made))
    return {**made, "digest": _digest(made)}


def check(certificate: Mapping[str, Any]) -> Checked:
    """What the certificate proves, all of it recomputed; UserError with what is wrong where it does not hold."""
    try:
        return _checked(certificate)
    except (KeyError, TypeError, ValueError, IndexError) as wrong:
        raise _damaged(f"it cannot be read ({type(wrong).__name__}: {wrong})") from wrong


def _checked(c: Mapping[str, Any]) -> Checked:
    if c["format"] != FORMAT:
        raise _damaged(f"its format is {c['format']}, not {FORMAT}")
    if c["digest"] != _digest({k: v for k, v in c.items() if k != "digest"}):
        raise _damaged("its digest does not fit its contents")
    dual, design = _dual(c), _design(c["design"])
    value = _value(dual, design, c["value"])
    depths = vectors(dual.template)
    by = np.array(c["by"], np.int64)
    stated = np.array([-inf if b is None else b for b in c["bounds"]], np.float64)
    if by.shape != (len(depths),) or stated.shape != by.shape:
        raise _damaged(f"it has {len(by)} points and {len(stated)} bounds for {len(depths)} depth vectors")
    if by.min() < BRANCHED or by.max() >= len(c["points"]):
        raise _damaged("a depth vector names a point that is not there")
    stated = np.where(by == OPEN, inf, stated)
    for k, point in enumerate(c["points"]):
        index = np.flatnonzero(by == k)
        _hold(dual, _multipliers(point, dual), index, depths, stated, k)
    trees = {int(n): nodes for n, nodes in c["trees"].items()}
    if set(trees) != set(np.flatnonzero(by == BRANCHED).tolist()):
        raise _damaged("its trees are not those of the branched depth vectors")
    for n, nodes in trees.items():
        _branched(dual, nodes, depths[n], float(stated[n]), value)
    bound = max(value, float(stated.max()))
    whole = "infeasible" if bound == -inf else "optimal" if bound <= value + 1e-3 else "gap"
    if (c["status"] == "infeasible") != (whole == "infeasible") or (c["status"] == "optimal" and whole == "gap"):
        raise _damaged(f"it says {c['status']} and proves {whole}")
    rays = int((stated == -inf).sum())
    opened = int((by == OPEN).sum())
    return Checked(design, value, bound, len(by), rays, len(by) - rays - opened - len(trees), len(trees), opened)


def _hold(dual: Dual, y: Multipliers, index: Array, depths: Array, stated: Array, k: int) -> None:
    """Raise where a point does not give the bounds that are stated."""
    if not len(index):
        raise _damaged(f"point {k} bounds nothing")
    _span(dual, y, depths[index], f"point {k}")
    found = dual.bounds(y, depths[index])
    wrong = (found >= RAY) | (stated[index] != -inf) if y.objective == 0 else _differ(found, stated[index])
    if wrong.any():
        n = int(np.argmax(wrong))
        name, says = _name(depths[index[n]]), stated[index[n]]
        raise _damaged(f"the depths {name} are bounded by {found[n]:.4f} at point {k}, and it says {says:.4f}")


def _differ(found: Array | float, stated: Array | float) -> Any:
    with np.errstate(invalid="ignore"):
        near = np.abs(found - np.asarray(stated)) <= NEAR * np.abs(found) + 2 * 10.0**-DIGITS
    return ~(near | (found == np.asarray(stated)))


def _name(depths: Array) -> str:
    return "-".join(map(str, depths))


def _span(dual: Dual, y: Multipliers, depths: Array, where: str) -> None:
    for level, (low, high) in enumerate(spans(dual.template, dual.budgets, depths)):
        if not (y.spans[level][0] <= low * (1 + NEAR) and high <= y.spans[level][1] * (1 + NEAR)):
            raise _damaged(f"the span of level {level + 1} at {where} does not hold {low:.6g} to {high:.6g}")


def _branched(dual: Dual, nodes: list[Any], depths: Array, stated: float, value: float) -> None:
    """Raise where the leaves of a tree, which cover all widths since they are halves of halves, do not bound so."""
    name, stack, highest, seen = _name(depths), [(0, dual.template.widths)], -inf, 0
    while stack:
        n, widths = stack.pop()
        node, seen = nodes[n], seen + 1
        if len(node) == 4:
            stage, width, first, second = node
            if min(first, second) <= n:
                raise _damaged(f"the tree of the depths {name} runs in a circle")
            stack += zip((first, second), halves(widths, stage, width), strict=True)
            continue
        point, bound, floor = node
        box = replace(dual, template=boxed(dual.template, widths))
        y = _multipliers(point, box)
        if y.objective != 1:
            raise _damaged(f"a box of the depths {name} has a ray")
        _span(box, y, depths[None], f"a box of the depths {name}")
        found = _leaf(box, y, depths, floor, value, name)
        if _differ(found, -inf if bound is None else bound):
            raise _damaged(f"a box of the depths {name} is bounded by {found}, and it says {bound}")
        highest = max(highest, found)
    if seen != len(nodes) or _differ(highest, stated):
        raise _damaged(f"the tree of the depths {name} bounds by {highest}, and it says {stated}")


def _leaf(box: Dual, y: Multipliers, depths: Array, floor: float | None, value: float, name: str) -> float:
    if floor is None:
        return float(box.bounds(y, depths[None])[0])
    if floor > value + NEAR * abs(value):
        raise _damaged(f"the depths {name} are enumerated above {floor}, which no design reaches")
    best, _ = above(box, y, tuple(map(int, depths)), floor)
    return max(best, floor)


def _dual(c: Mapping[str, Any]) -> Dual:
    parts = {k: _tuples(v) for k, v in c["template"].items()}
    parts["steepest"] = inf if parts["steepest"] is None else parts["steepest"]
    budgets = Budgets(**{k: inf if v is None else float(v) for k, v in c["budgets"].items()})
    return Dual(Template(**parts), Score(**c["score"]), budgets)


def _design(made: Mapping[str, Any]) -> Design:
    return Design(**{k: _tuples(v) for k, v in made.items()})


def _value(dual: Dual, design: Design, stated: float | None) -> float:
    """The design's value, if it is a member that keeps the budgets and has the value that is stated."""
    if wrong := broken(dual.template, design):
        raise _damaged(f"its design is no member: {wrong}")
    found = measure(dual.template, dual.score, Batch.of([design]))
    if stated is None:
        return -inf
    if not feasible(found, dual.budgets)[0]:
        raise _damaged("its design breaks a budget")
    value = float(found.value[0])
    if abs(value - stated) > NEAR * abs(value):
        raise _damaged(f"its design is worth {value:.6f}, and it says {stated:.6f}")
    return value


def _point(y: Multipliers) -> list[Any]:
    return [y.objective, y.macs, y.params, list(y.rho), list(y.centres), [list(span) for span in y.spans]]


def _node(node: Cut | Leaf) -> list[Any]:
    if isinstance(node, Cut):
        return [node.stage, node.width, node.first, node.second]
    return [_point(node.point), _up(node.bound), node.floor]


def _multipliers(point: list[Any], dual: Dual) -> Multipliers:
    objective, macs, params, rho, centres, bounds = point
    y = Multipliers(objective, macs, params, tuple(rho), tuple(centres), tuple((low, high) for low, high in bounds))
    levels, limits = len(dual.template.ends), dual.budgets
    if len(y.rho) != levels or len(y.centres) != levels or len(y.spans) != levels or objective not in (0, 1):
        raise _damaged("a point has not one multiplier for each level")
    numbers = [macs, params, *rho, *centres, *(end for span in bounds for end in span)]
    free = [(limits.macs, macs), (limits.params, params), *((limits.rho, v) for v in rho)]
    if not all(map(isfinite, numbers)) or any(v < 0 or (v > 0 and limit == inf) for limit, v in free):
        raise _damaged("a multiplier is no number, is negative, or prices a budget that there is not")
    if objective == 0 and any(centres):
        raise _damaged("a ray has a centre")
    return y


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def _up(bound: float) -> float | None:
    return ceil(bound * 10**DIGITS) / 10**DIGITS if isfinite(bound) else None


def _digest(c: Mapping[str, Any]) -> str:
    return blake2b(json.dumps(c, sort_keys=True).encode(), digest_size=8).hexdigest()


def _damaged(what: str) -> UserError:
    return UserError(f"the certificate does not hold: {what}", fix="make it anew with `nas design`")
