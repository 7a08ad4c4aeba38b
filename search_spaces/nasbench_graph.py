"""The graph networks of NAS-Bench-Graph (Qin et al. 2022, arXiv:2206.09166): decisions alone, a table knows the rest.

Four nodes, each an operation on one earlier value; what no node reads goes to the output.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import permutations, product
from typing import TypeAlias

from nas.decision import ALONE, decisions
from nas.recorded import recorded
from nas.space import Architecture, Space, Spelling
from nas.tree import Label

OPERATIONS = ("gat", "gcn", "gin", "cheb", "sage", "arma", "graph", "fc", "skip")
"""In the order of the authors' digits 0 to 8."""
PROTEINS = ("gcn", "sage", "arma", "fc", "skip")
"""Those that their table of ogbn-proteins has."""
LINKS = ("0000", "0001", "0011", "0012", "0013", "0111", "0112", "0122", "0123")
"""What each node reads, 0 for the input and k for node k: one of each class of equal graphs, in the authors' order."""
NODES = 4
SKIP = OPERATIONS.index("skip")
Links: TypeAlias = tuple[int, ...]


@recorded
def nasbench_graph(
    input: tuple[int, ...] = (1433,),  # the word of the project for an input shape
    classes: int = 7,
    operations: tuple[str, ...] = OPERATIONS,
) -> Space:
    """Nine patterns of links and an operation for each of four nodes: 9 * 9^4 = 59,049 decisions, 26,206 networks.

    input, classes: features of a vertex and classes (Cora's); no decision depends on them. operations: of each node.
    """
    if unknown := [op for op in operations if op not in OPERATIONS]:
        raise ValueError(f"nasbench_graph has no operation {unknown[0]!r}; there are {', '.join(OPERATIONS)}")
    root = decisions({"links": LINKS, **{f"node{k}.operation": tuple(operations) for k in range(1, NODES + 1)}})
    spelling = Spelling(_spell, _parse)
    return Space("nasbench_graph", root, tuple(input), shares=ALONE, relaxes=ALONE, spelling=spelling, same=unique)


def unique(arch: Architecture) -> str:
    """The key by which the authors' tables know a network, equal for equal ones."""
    digits = tuple(OPERATIONS.index(str(arch[f"node{k}.operation"])) for k in range(1, NODES + 1))
    return str(key(tuple(map(int, str(arch["links"]))), digits))


def key(links: Links, digits: Links) -> int:
    """The authors' hash of a network: the number of its pattern of links, then the digit of each operation.

    links: what each node reads; digits: the operation of each, an index into OPERATIONS. The rules are those of the
    released `architecture.py`: a skip that changes nothing moves to the front, nodes take the order of one of the nine
    patterns, and nodes that may change places stand in the order of their digits.
    """
    made, at = _least(*_to_the_front(links, digits))
    for digit in made:
        at = at * 10 + digit
    return at


def _to_the_front(links: Links, digits: Links) -> tuple[Links, Links]:
    """The network with its needless skips before all else: one that is read, or read beside, or reads only skips."""
    for k in range(NODES):
        if digits[k] != SKIP:
            continue
        read, alone = k + 1 in links, links.count(links[k]) == 1
        if read or alone or _is_input(k, links, digits):
            rest = [(links[i], digits[i]) for i in range(NODES) if i != k]
            # all that read the input read the skip, now node 1; its readers read what it read
            moved = tuple(links[k] + 1 if link == k + 1 else link + 1 if link <= k else link for link, _ in rest)
            links, digits = (0, *moved), (SKIP, *(digit for _, digit in rest))
    return links, digits


def _is_input(k: int, links: Links, digits: Links) -> bool:
    """Whether node k (from 0) gives the input itself."""
    while k >= 0:
        if digits[k] != SKIP:
            return False
        k = links[k] - 1
    return True


def _least(links: Links, digits: Links) -> tuple[Links, int]:
    """The smallest digits in which the nodes may stand, and the number of their pattern."""
    pattern, orders = _ORDERS[links]
    return min(tuple(digits[k] for k in order) for order in orders), pattern


def _reordered(links: Links, order: Links) -> Links:
    """What each node reads when they stand in another order; order: the old place (from 0) of each."""
    place = {0: 0, **{old + 1: new for new, old in enumerate(order, 1)}}
    return tuple(place[links[old]] for old in order)


def _orders() -> dict[Links, tuple[int, list[Links]]]:
    """For each of the 24 ways to link four nodes: its pattern, and the orders in which it reads as that pattern."""
    patterns = {tuple(map(int, text)): n for n, text in enumerate(LINKS)}
    found: dict[Links, tuple[int, list[Links]]] = {}
    for links in product(*(range(k + 1) for k in range(NODES))):
        made = {order: _reordered(links, order) for order in permutations(range(NODES))}
        fits = [order for order, new in made.items() if new in patterns]
        found[links] = (patterns[made[fits[0]]], fits)
    return found


_ORDERS = _orders()


def _spell(arch: Architecture) -> str:
    return "-".join(str(arch["links"])) + ":" + "-".join(str(arch[f"node{k}.operation"]) for k in range(1, NODES + 1))


def _parse(text: str) -> Mapping[str, Label]:
    """Any of the 24 ways to link is read; the nodes take the order of its pattern."""
    left, _, right = text.strip().partition(":")
    ops = right.split("-")
    links = tuple(int(n) if n.isdecimal() else -1 for n in left.split("-"))
    if links not in _ORDERS or len(ops) != NODES or not set(ops) <= set(OPERATIONS):
        raise ValueError(f"{text!r} is no network of nasbench_graph; one is 0-1-2-2:fc-gat-gcn-graph")
    pattern, orders = _ORDERS[links]
    return {"links": LINKS[pattern], **{f"node{n}.operation": ops[k] for n, k in enumerate(orders[0], 1)}}
