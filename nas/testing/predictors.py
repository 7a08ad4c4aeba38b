"""The laws of a predictor, on the table of 200 architectures."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from nas.roles import Array, Predictor
from nas.space import Architecture
from nas.testing.check import check
from nas.testing.strategies import table


def predictor_laws() -> Mapping[str, Callable[[Callable[[], Predictor]], None]]:
    """The laws of a predictor, by a sentence each; each takes what makes a predictor."""
    return {
        "fit does not change what it is given": keeps,
        "a new fit forgets the old one": forgets,
        "the order of the rows does not matter": orders,
        "std is positive, one value a row": spreads,
        "nearer to the truth than the mean": learns,
    }


def drawn(count: int, seed: int) -> tuple[list[Architecture], Array]:
    """Different architectures of the table, and what each is worth."""
    space, value = table()
    archs = list(space)
    picked = [archs[k] for k in np.random.default_rng(seed).permutation(len(archs))[:count]]
    return picked, np.array([value(a) for a in picked])


def keeps(make: Callable[[], Predictor]) -> None:
    """Neither the architectures nor the values are touched."""
    archs, y = drawn(40, 0)
    before, values = list(archs), y.copy()
    make().fit(archs, y).predict(archs)
    check(archs == before and bool((y == values).all()), "fit changed its arguments")


def forgets(make: Callable[[], Predictor]) -> None:
    """Fitted on others before or not, it says the same."""
    (first, y1), (second, y2) = drawn(40, 1), drawn(40, 2)
    model = make()
    model.fit(first, 10 * y1)
    again, fresh = model.fit(second, y2).predict(first), make().fit(second, y2).predict(first)
    check(
        bool(np.allclose(again.mean, fresh.mean) and np.allclose(again.std, fresh.std)), "an earlier fit is remembered"
    )


def orders(make: Callable[[], Predictor]) -> None:
    """Rows in another order lead to the same predictions, and those stand in the order asked for."""
    (archs, y), (asked, _) = drawn(40, 3), drawn(30, 4)
    turn = np.random.default_rng(5).permutation(len(archs))
    one = make().fit(archs, y).predict(asked)
    other = make().fit([archs[k] for k in turn], y[turn]).predict(asked[::-1])
    check(bool(np.allclose(one.mean, other.mean[::-1])), "the order of the rows matters")


def spreads(make: Callable[[], Predictor]) -> None:
    """Also where all values are equal."""
    (archs, y), (asked, _) = drawn(20, 6), drawn(30, 7)
    for values in (y, np.full(len(archs), 0.5)):
        said = make().fit(archs, values).predict(asked)
        check(said.mean.shape == said.std.shape == (len(asked),), f"shapes {said.mean.shape} and {said.std.shape}")
        check(
            bool((said.std > 0).all() and np.isfinite(said.mean).all()), "a std is not positive, or a mean not finite"
        )


def learns(make: Callable[[], Predictor]) -> None:
    """On architectures that it has not seen: less squared error than their mean, and an order that agrees."""
    archs, y = drawn(200, 8)
    said = make().fit(archs[:100], y[:100]).predict(archs[100:]).mean
    error, plain = ((said - y[100:]) ** 2).mean(), ((y[100:] - y[:100].mean()) ** 2).mean()
    check(bool(error < plain), f"its squared error is {error:.4f}, that of the mean {plain:.4f}")
    order = np.corrcoef(np.argsort(np.argsort(said)), np.argsort(np.argsort(y[100:])))[0, 1]
    check(bool(order > 0.3), f"its order agrees by {order:.2f} alone")
