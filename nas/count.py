"""How many architectures a plan has, exactly, without listing them."""

from __future__ import annotations

from functools import cache
from math import prod
from typing import TypeAlias

from nas.plan import Hole, Plan

Decided: TypeAlias = frozenset[tuple[str, int]]


def count(plan: Plan) -> int:
    """The number of ways to decide a plan: tied names count once, holes that an option opens count under it alone."""

    @cache
    def names_of(hole: Hole) -> frozenset[str]:
        return frozenset({hole.choice.name}).union(*(names_of(h) for opened in hole.opens for h in opened))

    @cache
    def ways(holes: Plan, decided: Decided) -> int:
        return prod(component(group, _within(decided, group)) for group in _groups(holes, decided))

    @cache
    def component(holes: Plan, decided: Decided) -> int:
        first, rest = holes[0], holes[1:]
        name, known = first.choice.name, dict(decided)
        if name in known:
            return ways(_joined(rest, first.opens[known[name]] if first.opens else ()), decided)
        shared = any(name in names_of(h) for h in rest) or any(name in names_of(h) for o in first.opens for h in o)
        if not shared and not first.opens:
            return len(first.choice.options) * ways(rest, decided)
        total = 0
        for k in range(len(first.choice.options)):
            then = decided | {(name, k)} if shared else decided
            total += ways(_joined(rest, first.opens[k] if first.opens else ()), then)
        return total

    def _groups(holes: Plan, decided: Decided) -> list[Plan]:
        known = {name for name, _ in decided}
        groups: list[tuple[set[str], list[Hole]]] = []
        for hole in holes:
            mine, members = set(names_of(hole)) - known, [hole]
            apart = []
            for theirs, group in groups:
                if mine & theirs:
                    mine |= theirs
                    members = group + members
                else:
                    apart.append((theirs, group))
            groups = [*apart, (mine, members)]
        return [tuple(group) for _, group in groups]

    def _within(decided: Decided, holes: Plan) -> Decided:
        mine = frozenset().union(*(names_of(h) for h in holes))
        return frozenset(pair for pair in decided if pair[0] in mine)

    return ways(plan, frozenset())


def _joined(rest: Plan, opened: Plan) -> Plan:
    return tuple(dict.fromkeys((*rest, *opened)))
