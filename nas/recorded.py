"""Writes down what the function of a space was given, so that the space can be made again elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import wraps
from inspect import signature
from typing import ParamSpec

from nas.space import Json, Space

P = ParamSpec("P")


def recorded(make: Callable[P, Space]) -> Callable[P, Space]:
    """The function, whose space has as its settings the arguments by name, defaults too, as JSON holds them.

    Raises ValueError naming a setting that JSON cannot hold.
    """
    takes = signature(make)

    @wraps(make)
    def made(*args: P.args, **kwargs: P.kwargs) -> Space:
        space = make(*args, **kwargs)
        given = takes.bind(*args, **kwargs)
        given.apply_defaults()
        return replace(space, settings={name: _held(value, name, space) for name, value in given.arguments.items()})

    return made


def _held(value: object, name: str, space: Space) -> Json:
    """The value as it comes back from JSON: with lists in place of tuples and ranges."""
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, list | tuple | range):
        return [_held(v, name, space) for v in value]
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _held(v, name, space) for key, v in value.items()}
    what = f"{value!r} ({type(value).__name__})"
    raise ValueError(f"the setting {name!r} of the space {space.name!r} holds {what}; give what JSON can hold")
