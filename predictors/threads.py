"""Small matrices on one thread: several cost three times the work, and take the cores from what trains beside."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import scipy.linalg  # noqa: F401  # its library must be there to be found
from threadpoolctl import ThreadpoolController

P = ParamSpec("P")
T = TypeVar("T")
LIBRARIES = ThreadpoolController()


def on_one_thread(of: Callable[P, T]) -> Callable[P, T]:
    """A function whose linear algebra runs on one thread."""

    @wraps(of)
    def run(*given: P.args, **named: P.kwargs) -> T:
        with LIBRARIES.limit(limits=1, user_api="blas"):
            return of(*given, **named)

    return run
