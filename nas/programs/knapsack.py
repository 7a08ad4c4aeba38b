"""One option of each layer, the largest sum of values within budgets: the multiple-choice knapsack, solved exactly.

One budget: the whole front by merging layer after layer and dropping what is dominated. Several budgets: a Lagrangian
bound says how much every option loses against it, and all selections that lose no more than a threshold are listed.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]
Index: TypeAlias = NDArray[np.int64]
STATES = 400_000
"""More partial selections than this are not kept."""
BEAM = 2000
"""So many are kept where a good selection is enough."""
WIDER = 1.3
"""By how much the threshold grows where too few selections are within it."""
ROUNDING = 1e-12
"""By what share of a budget a sum may be above it: the error of adding floats, no more."""


class TooMany(Exception):
    """The partial selections are too many: another method is needed."""


@final
@dataclass(frozen=True, eq=False)
class Selections:
    """Selections of one option a layer: picks (n, layers), values (n,) and what each uses (n, budgets)."""

    picks: Index
    values: Array
    used: Array

    def only(self, rows: Index) -> Selections:
        """Some of them."""
        return Selections(self.picks[rows], self.values[rows], self.used[rows])


def front(values: Sequence[Array], costs: Sequence[Array], limit: float = np.inf) -> Selections:
    """The whole Pareto front, cheapest first: for every budget up to the limit, the best selection within it.

    values, costs: (options,) of each layer. TooMany where a partial front has more points than are kept.
    """
    limit = _rounded(np.array([limit]))[0]
    value, cost = np.zeros(1), np.zeros(1)
    rest = float(sum(c.min() for c in costs))
    trail: list[tuple[Index, Index]] = []
    for v, c in zip(values, costs, strict=True):
        rest -= c.min()
        first = _undominated(v, c)
        sums, spent = (v[first][:, None] + value).ravel(), (c[first][:, None] + cost).ravel()
        if np.isfinite(limit):
            inside = np.flatnonzero(spent + rest <= limit)
            kept = inside[_undominated(sums[inside], spent[inside])]
        else:
            kept = _undominated(sums, spent)
        if len(kept) > STATES:
            raise TooMany(f"{len(kept)} points")
        option, parent = np.divmod(kept, max(len(value), 1))
        trail.append((parent, first[option]))
        value, cost = sums[kept], spent[kept]
    return _exact(_unwound(trail, len(value)), values, [c[:, None] for c in costs])


def _undominated(value: Array, cost: Array) -> Index:
    """The points that no other matches in value at no more cost, cheapest first."""
    order = np.lexsort((-value, cost)) if len(value) < 64 else _by_cost(value, cost)
    best = np.maximum.accumulate(value[order])
    new = np.empty(len(order), dtype=bool)
    new[:1] = True
    np.greater(value[order][1:], best[:-1], out=new[1:])
    return order[new]


def _by_cost(value: Array, cost: Array) -> Index:
    """Sorted by cost, equal ones by falling value; the costs are a few sorted runs, which a stable sort joins fast."""
    order = np.argsort(cost, kind="stable")
    tied = cost[order]
    return np.lexsort((-value, cost)) if (tied[1:] == tied[:-1]).any() else order


def best(
    values: Sequence[Array],
    costs: Sequence[Array],
    limits: Array,
    *,
    count: int = 1,
    without: Set[tuple[int, ...]] = frozenset(),
) -> Selections:
    """The `count` best selections within the budgets, best first; fewer where there are no more.

    values: (options,) of each layer; costs: (options, budgets); limits: (budgets,); without: picks that do not count.
    TooMany where the method does not suit the instance: flat values, or budgets that hardly anything meets.
    """
    if not len(limits):
        return _unlimited(values, costs, count, without)
    limits = _rounded(limits)
    if (sum(c.min(0) for c in costs) > limits).any():
        return _exact(np.zeros((0, len(values)), dtype=np.int64), values, costs)
    price, losses, bound = _relaxed(values, costs, limits)
    gap = _first_gap(losses)
    while True:
        picks, everything = _within(losses, costs, limits, price, gap)
        found = _exact(picks, values, costs)
        found = found.only(_new(found, without))
        sure = int(np.count_nonzero(found.values >= bound - gap))
        if everything or sure >= count:
            return found.only(np.arange(min(count, len(found.values) if everything else sure)))
        gap *= WIDER


def near(
    values: Sequence[Array],
    costs: Sequence[Array],
    limits: Array,
    *,
    count: int = 1,
    without: Set[tuple[int, ...]] = frozenset(),
) -> tuple[Selections, float]:
    """Good selections within the budgets, as `best`, and what no selection can be above: for what `best` gives up."""
    limits = _rounded(limits)
    price, losses, bound = _relaxed(values, costs, limits)
    picks, _ = _within(losses, costs, limits, price, np.inf, BEAM)
    found = _exact(picks, values, costs)
    return found.only(_new(found, without)[:count]), bound


def _relaxed(values: Sequence[Array], costs: Sequence[Array], limits: Array) -> tuple[Array, list[Array], float]:
    """The prices of the budgets, what each option loses under them, and the bound that they give."""
    price = prices(values, costs, limits)
    worth = [v - c @ price for v, c in zip(values, costs, strict=True)]
    return price, [w.max() - w for w in worth], float(sum(w.max() for w in worth) + price @ limits)


def _first_gap(losses: Sequence[Array]) -> float:
    """The smallest threshold under which about one more option a layer is left."""
    some = np.sort(np.concatenate([x[x > 0] for x in losses]))
    return float(some[min(len(losses) // 2, len(some) - 1)]) if len(some) else 1.0


def _within(
    losses: Sequence[Array], costs: Sequence[Array], limits: Array, price: Array, gap: float, beam: int = 0
) -> tuple[Index, bool]:
    """All selections within the budgets whose losses and priced slack come to no more than `gap`; and whether that
    leaves out nothing at all. With a `beam`, only so many partial ones that lose least are kept.
    """
    left = [np.flatnonzero(x <= gap) for x in losses]
    whole = all(len(k) == len(x) for k, x in zip(left, losses, strict=True))
    order = sorted(range(len(losses)), key=lambda i: len(left[i]))
    least = np.array([costs[i][left[i]].min(0) for i in order])
    most = np.array([costs[i][left[i]].max(0) for i in order])
    least = np.vstack([least[::-1].cumsum(0)[::-1][1:], np.zeros((1, len(limits)))])
    most = np.vstack([most[::-1].cumsum(0)[::-1][1:], np.zeros((1, len(limits)))])
    roof = limits + 1e-9 * np.abs(limits)  # partial sums are added in another order: judged exactly at the end
    loss, used, trail = np.zeros(1), np.zeros((1, len(limits))), []
    for step, i in enumerate(order):
        if len(loss) * len(left[i]) > 10 * STATES and not beam:
            raise TooMany(f"{len(loss) * len(left[i])} partial selections")
        new = (loss[:, None] + losses[i][left[i]]).ravel()
        near = np.flatnonzero(new <= gap)
        parent, option = np.divmod(near, len(left[i]))
        new, spent = new[near], used[parent] + costs[i][left[i]][option]
        slack = np.maximum(limits - spent - most[step], 0.0) @ price
        ok = np.flatnonzero((spent + least[step] <= roof).all(1) & (new + slack <= gap))
        whole = whole and len(ok) == np.count_nonzero((spent + least[step] <= roof).all(1))
        whole = whole and len(near) == len(loss) * len(left[i])
        if len(ok) > STATES and not beam:
            raise TooMany(f"{len(ok)} partial selections")
        if beam and len(ok) > beam:
            off = np.abs(limits - spent[ok] - (least[step] + most[step]) / 2) @ price  # what the rest must make up for
            ok, whole = ok[np.argpartition(new[ok] + off, beam)[:beam]], False
        loss, used = new[ok], spent[ok]
        trail.append((parent[ok], left[i][option[ok]]))
    picks = np.empty((len(loss), len(losses)), dtype=np.int64)
    picks[:, order] = _unwound(trail, len(loss))
    return picks[(_used(picks, costs) <= limits).all(1)], whole


def _unlimited(
    values: Sequence[Array], costs: Sequence[Array], count: int, without: Set[tuple[int, ...]]
) -> Selections:
    """The best selections where nothing limits them: of the partial ones only so many best can matter."""
    enough = count + len(without)
    sums, trail = np.zeros(1), []
    for v in values:
        new = (sums[:, None] + v).ravel()
        kept = np.argsort(-new, kind="stable")[:enough]
        trail.append(np.divmod(kept, len(v)))
        sums = new[kept]
    found = _exact(_unwound(trail, len(sums)), values, costs)
    return found.only(_new(found, without)[:count])


def prices(values: Sequence[Array], costs: Sequence[Array], limits: Array, *, steps: int = 40) -> Array:
    """What a unit of each budget is worth, (budgets,): nearly the best multipliers of the Lagrangian dual.

    Newton's method on the dual, smoothed by a temperature that falls; any prices give a valid bound, better ones a
    smaller one.
    """
    layers, widest, budgets = len(values), max(map(len, values)), len(limits)
    v, c = np.full((layers, widest), -np.inf), np.zeros((layers, widest, budgets))
    scale = np.array([max(1e-300, *(np.ptp(x[:, b]) for x in costs)) for b in range(budgets)])
    for i, (a, b) in enumerate(zip(values, costs, strict=True)):
        v[i, : len(a)], c[i, : len(a)] = a, (b - b.min(0)) / scale
    room = (limits - sum(x.min(0) for x in costs)) / scale
    spread = max(float(np.mean([np.ptp(x) for x in values])), 1e-300)
    price, best_price, best_bound = np.full(budgets, 1e-3 * spread), np.zeros(budgets), np.inf
    for heat in np.repeat(spread * np.geomspace(0.3, 1e-3, 10), steps // 10):
        worth = v - c @ price
        top = worth.max(1, keepdims=True)
        bound = float(top.sum() + price @ room)
        if bound < best_bound:
            best_price, best_bound = price, bound
        share = np.exp((worth - top) / heat)
        share /= share.sum(1, keepdims=True)
        mean = np.einsum("ik,ikb->ib", share, c)
        slope = room - mean.sum(0)
        bend = (np.einsum("ik,ikb,ikd->bd", share, c, c) - mean.T @ mean) / heat
        free = (price > 0) | (slope < 0)
        if not free.any():
            break
        curve = bend[np.ix_(free, free)] + 1e-9 * np.eye(int(free.sum())) * (1 + np.trace(bend))
        step = np.zeros(budgets)
        step[free] = -np.linalg.solve(curve, slope[free])
        price = np.maximum(price + np.clip(step, -0.5 * (price + spread), 0.5 * (price + spread)), 0.0)
    found: Array = best_price / scale
    return found


def _rounded(limits: Array) -> Array:
    return limits + ROUNDING * np.abs(limits)


def _new(found: Selections, without: Set[tuple[int, ...]]) -> Index:
    if not without:
        return np.arange(len(found.values))
    return np.array([k for k, row in enumerate(found.picks.tolist()) if tuple(row) not in without], dtype=np.int64)


def _unwound(trail: Sequence[tuple[Index, Index]], count: int) -> Index:
    """The picks (count, layers) that a trail of (parent, option) by layer leads to."""
    picks, at = np.empty((count, len(trail)), dtype=np.int64), np.arange(count)
    for i in reversed(range(len(trail))):
        parent, option = trail[i]
        picks[:, i], at = option[at], parent[at]
    return picks


def _used(picks: Index, costs: Sequence[Array]) -> Array:
    used = np.zeros((len(picks), costs[0].shape[1]))
    for i, cost in enumerate(costs):
        used += cost[picks[:, i]]
    return used


def _exact(picks: Index, values: Sequence[Array], costs: Sequence[Array]) -> Selections:
    """The sums of selections, added in the order of the layers, best first (of equals the first by its picks)."""
    total = sum((v[picks[:, i]] for i, v in enumerate(values)), np.zeros(len(picks)))
    order = np.lexsort((*picks.T[::-1], -total))
    return Selections(picks[order], total[order], _used(picks[order], costs))
