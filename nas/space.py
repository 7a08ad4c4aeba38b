"""A search space: a tree with holes, and how its members are drawn, changed, crossed, listed and written."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import cached_property
from typing import Any, final

from nas.architecture import Architecture, Json, Members, Rng, Spelling
from nas.count import count
from nas.fill import fill
from nas.plan import Plan, follow, opening, ordered, plan
from nas.tree import Choice, Label, Node, Pick, Refused, Shape, parts

DRAWS = 1000
"""How often a draw that a space refuses is repeated."""


@final
@dataclass(frozen=True)
class Space:
    """A tree with holes, for an input shape.

    settings: what the function that made it was given, so that it can be made again elsewhere.
    shares, relaxes: "" where it can share weights, or be relaxed; else the one-line reason why not.
    accepts: refuses a filled tree that is no member.
    same: the published name of the network that an architecture is, equal for equal ones, where the space has such.
    costs: what is known of an architecture without a device, where a table says it and not the tree; KeyError where the
    table does not know it. members: where these alone are members; what is decided then becomes the nearest of them.
    """

    name: str
    root: Node
    input: Shape
    settings: Mapping[str, Json] = field(default_factory=dict, hash=False)
    shares: str = ""
    relaxes: str = ""
    accepts: Callable[[Node], bool] | None = None
    spelling: Spelling | None = None
    same: Callable[[Architecture], str] | None = None
    costs: Callable[[Architecture], Mapping[str, float]] | None = None
    members: Members | None = None

    def decide(self, pick: Pick) -> Architecture:
        """The architecture that `pick` makes: it is asked for each hole that is met, once a name.

        Raises Refused where the space does not accept it.
        """
        arch = self._decided(pick)
        return self._accepted(arch) if self.members is None else self.members.nearest(arch)

    def _accepted(self, arch: Architecture) -> Architecture:
        if self.accepts is not None and not self.accepts(self.network(arch)):
            raise Refused(f"{self.name} refuses {arch.to_json()}")
        return arch

    def network(self, arch: Architecture) -> Node:
        """The tree without holes; KeyError naming a choice that the architecture does not make, or cannot."""
        if arch.space != self.name:
            raise ValueError(f"an architecture of {arch.space!r} does not belong to the space {self.name!r}")
        if arch.key not in self._networks:
            if len(self._networks) >= 256:
                self._networks.clear()
            labels = arch.labels

            def pick(choice: Choice) -> int:
                if choice.name not in labels:
                    raise KeyError(f"the architecture {arch.key} does not say what {choice.name!r} is")
                return choice.index(labels[choice.name])

            self._networks[arch.key] = fill(self.root, pick)
        return self._networks[arch.key]

    def member(self, arch: Architecture) -> bool:
        """Whether the architecture is one of this space: its own labels decide exactly it."""
        try:
            return arch.space == self.name and self.decide(lambda c: c.index(arch[c.name])) == arch
        except (KeyError, Refused):
            return False

    @cached_property
    def choices(self) -> Mapping[str, Choice]:
        """All choices by name, in the order of asking; ValueError where one name has two sets of labels."""
        found: dict[str, Choice] = {}
        for hole in ordered(self._plan):
            if found.setdefault(hole.name, hole).labels != hole.labels:
                raise ValueError(f"the space {self.name!r} has two choices named {hole.name!r} with different labels")
        return found

    @cached_property
    def size(self) -> int:
        """How many architectures there are, exactly and without bound; where the space refuses some, by enumeration."""
        if self.members is not None:
            return len(self.members)
        return count(self._plan) if self.accepts is None else sum(1 for _ in self)

    def sample(self, rng: Rng) -> Architecture:
        """A random architecture: each hole that is met takes one of its options, all equally likely."""
        if self.members is not None:
            return self.members.draw(rng)
        return self._redraw(lambda: self.decide(lambda c: int(rng.random() * len(c.options))))

    def mutate(self, arch: Architecture, rng: Rng) -> Architecture:
        """A copy in which one random choice is changed; holes that open anew are drawn at random."""
        old, fixed = arch.labels, self.fixed
        free = [n for n, (name, _) in enumerate(arch.choices) if name not in fixed]
        if not free:
            raise ValueError(f"the space {self.name!r} leaves nothing to change in {arch.to_json()}")

        def draw() -> Architecture:
            at = free[int(rng.random() * len(free))]
            target, was = arch.choices[at]
            choice = self.choices[target]

            def other() -> int:
                k = int(rng.random() * (len(choice.options) - 1))
                return k + (k >= choice.index(was))

            def pick(c: Choice) -> int:
                if c.name == target:
                    return other()
                return c.index(old[c.name]) if c.name in old else int(rng.random() * len(c.options))

            if target not in self._leaves:
                made = self._decided(pick)
            else:  # nothing else is asked
                new = (target, choice.labels[other()])
                made = Architecture(self.name, (*arch.choices[:at], new, *arch.choices[at + 1 :]))
            return self._accepted(made) if self.members is None else self.members.nearest(made, arch)

        return self._redraw(draw)

    def cross(self, a: Architecture, b: Architecture, rng: Rng) -> Architecture:
        """A child of two parents: each hole takes the label of one of them; where neither has it, a random one."""

        def pick(c: Choice) -> int:
            have = [p.labels[c.name] for p in (a, b) if c.name in p.labels]
            return c.index(have[int(rng.random() * len(have))]) if have else int(rng.random() * len(c.options))

        return self._redraw(lambda: self.decide(pick))

    def neighbours(self, arch: Architecture) -> Iterator[Architecture]:
        """Every member that differs in one choice; holes that open anew take their first option."""
        for name, label in arch.choices:
            for other in self.choices[name].labels:
                if other == label:
                    continue
                new = {**arch.labels, name: other}
                with suppress(Refused):
                    made = self.decide(lambda c, new=new: c.index(new[c.name]) if c.name in new else 0)  # type: ignore[misc]  # the default binds the loop's value
                    if made != arch:
                        yield made

    def __iter__(self) -> Iterator[Architecture]:
        """Every architecture once, by an odometer over the holes as they are met."""
        if self.members is not None:
            yield from self.members
            return
        path: list[list[int]] = []
        while True:
            at = 0

            def pick(c: Choice) -> int:
                nonlocal at
                if at == len(path):
                    path.append([0, len(c.options)])
                at += 1
                return path[at - 1][0]

            with suppress(Refused):
                yield self.decide(pick)
            while path and path[-1][0] + 1 == path[-1][1]:
                path.pop()
            if not path:
                return
            path[-1][0] += 1

    def spell(self, arch: Architecture) -> str:
        """The architecture as the published tables write it; its JSON where the space has no spelling."""
        return self.spelling.spell(arch) if self.spelling else arch.to_json()

    def parse(self, text: str) -> Architecture:
        """The architecture that a spelling, or its JSON, writes; ValueError or KeyError where it is no member."""
        if '"choices"' in text or self.spelling is None:
            made = Architecture.from_json(text)
            labels, name = made.labels, made.space
        else:
            labels, name = self.spelling.parse(text), self.name
        if name != self.name:
            raise ValueError(f"an architecture of {name!r} does not belong to the space {self.name!r}")
        return self.read(labels)

    def read(self, labels: Mapping[str, Label]) -> Architecture:
        """The architecture of these labels by choice; ValueError or KeyError where it is no member."""
        for label in labels:
            if label not in self.choices:
                near = " or ".join(get_close_matches(label, self.choices, n=2)) or f"one of {len(self.choices)} others"
                raise KeyError(f"the space {self.name!r} has no choice named {label!r}; perhaps {near}")
        arch = self.decide(lambda c: c.index(_given(labels, c)))
        extra = [label for label in labels if label not in arch.labels]
        if extra:
            raise ValueError(f"the choice {extra[0]!r} is not open in this architecture; leave it out")
        return arch

    def __getstate__(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in parts(Space)}  # what is cached stays behind

    @cached_property
    def fixed(self) -> frozenset[str]:
        """The choices that have one option only."""
        return frozenset(name for name, choice in self.choices.items() if len(choice.options) == 1)

    @cached_property
    def _leaves(self) -> frozenset[str]:
        """The choices that open no others, wherever they stand."""
        return frozenset(self.choices) - opening(self._plan)

    @cached_property
    def _plan(self) -> Plan:
        return plan(self.root)

    @cached_property
    def _networks(self) -> dict[str, Node]:
        return {}

    def _decided(self, pick: Pick) -> Architecture:
        made: dict[str, int] = {}
        follow(self._plan, pick, made)
        choices = self.choices
        return Architecture(self.name, tuple(sorted([(name, choices[name].labels[k]) for name, k in made.items()])))

    def _redraw(self, draw: Callable[[], Architecture]) -> Architecture:
        for _ in range(DRAWS):
            try:
                return draw()
            except Refused:
                continue
        raise Refused(f"the space {self.name!r} refused {DRAWS} draws in a row")


def _given(labels: Mapping[str, Label], choice: Choice) -> Label:
    if choice.name not in labels:
        options = ", ".join(map(str, choice.labels))
        raise KeyError(f"the architecture does not say what {choice.name!r} is; it may be {options}")
    return labels[choice.name]


__all__ = ["Architecture", "Json", "Members", "Rng", "Space", "Spelling"]
