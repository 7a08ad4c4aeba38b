"""Evaluators on their way to workers: pickled once, sent once to each worker."""

from __future__ import annotations

import itertools
import pickle
import sys
from typing import Any, final

from nas.errors import ENVIRONMENT, UserError
from nas.roles import Evaluator, Task

KEPT = 4
"""How many evaluators a driver and a worker keep; a study has one."""
USER = "nas_user_"
"""How the modules begin that are loaded from a user's own file: workers cannot import them, so they travel by value."""


@final
class Packed:
    """The pickles of the evaluators that were used last, each with a number that is given once.

    An evaluator is pickled when it is first seen: a change to it after that does not reach the workers.
    """

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._kept: dict[int, tuple[Evaluator, int, bytes]] = {}

    def __call__(self, evaluate: Evaluator) -> tuple[int, bytes]:
        """The number and the pickle of an evaluator; UserError where it cannot be pickled."""
        if id(evaluate) not in self._kept:
            if len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[id(evaluate)] = evaluate, next(self._numbers), pack(evaluate)
        return self._kept[id(evaluate)][1:]


@final
class Unpacked:
    """The evaluators that a worker has made from pickles, by number."""

    def __init__(self) -> None:
        self._kept: dict[int, Evaluator] = {}

    def __call__(self, number: int, blob: bytes | None) -> Evaluator:
        """The evaluator with a number, made from its pickle where one is given."""
        if blob is not None:
            while len(self._kept) >= KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[number] = pickle.loads(blob)
        return self._kept[number]


def pack(evaluate: Evaluator) -> bytes:
    """The pickle of an evaluator; classes of the main script and of a user's own file travel by value."""
    import cloudpickle  # noqa: PLC0415  # only a driver needs it

    for name, module in list(sys.modules.items()):
        if name.startswith(USER):
            cloudpickle.register_pickle_by_value(module)
    try:
        return bytes(cloudpickle.dumps(evaluate))
    except Exception as error:
        kind = type(evaluate).__name__
        raise UserError(
            f"the evaluator {kind} cannot be sent to a worker: {error}",
            fix="give it paths and names rather than open files, locks or generators",
            code=ENVIRONMENT,
        ) from error


def fields(task: Task) -> dict[str, Any]:
    """What a worker is told of a task beside its evaluator."""
    told = ("trial", "name", "proposal", "seed", "folder", "parent", "epochs", "origin")
    return {name: getattr(task, name) for name in told}
