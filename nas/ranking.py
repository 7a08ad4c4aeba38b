"""How far a ranking can be trusted: Kendall's tau with a bootstrap interval, beside that of counting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau

Numbers = Sequence[float] | NDArray[np.float64]
RESAMPLES = 2000
LEAST = 4
"""Networks that a ranking is judged by, at least."""


@final
@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b of two rankings of `count` networks, and the 95 % interval of its bootstrap."""

    tau: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.tau:.2f} [{self.low:.2f}, {self.high:.2f}]"


@final
@dataclass(frozen=True)
class Trust:
    """How well a score ranks networks by what they really reach, and how well counting ranks them.

    beside: tau of each count. ahead: tau of the score less the best of the counts', with its interval.
    """

    score: Tau
    beside: Mapping[str, Tau]
    ahead: Tau
    best: str

    @property
    def verdict(self) -> str:
        """One sentence for a reader."""
        if not self.best:
            return f"tau {self.score} over {self.score.count} networks"
        if self.ahead.low > 0:
            return f"better than counting {self.best}"
        worse = "worse than" if self.ahead.high < 0 else "not better than"
        return f"{worse} counting {self.best}"

    def json(self) -> dict[str, object]:
        """As plain values."""
        return {
            "networks": self.score.count,
            "tau": _rounded(self.score),
            "beside": {name: _rounded(tau) for name, tau in self.beside.items()},
            "ahead": {**_rounded(self.ahead), "of": self.best},
            "verdict": self.verdict,
        }


def kendall(a: Numbers, b: Numbers) -> float:
    """Kendall's tau-b (1945) of two lists of numbers; 0 where one of them is constant."""
    found = kendalltau(np.asarray(a, float), np.asarray(b, float)).statistic
    return 0.0 if np.isnan(found) else float(found)


def trust(
    scores: Numbers, truth: Numbers, beside: Mapping[str, Numbers], *, seed: int = 0, resamples: int = RESAMPLES
) -> Trust:
    """How a score agrees with the truth, and whether it is ahead of what is known without training.

    scores, truth, and each of beside: (n,), larger is better. All are resampled together (Efron 1979), so that the
    interval of the difference is that of one set of networks. Raises ValueError for fewer than 4 networks.
    """
    columns = {"": np.asarray(scores, float), **{name: np.asarray(b, float) for name, b in beside.items()}}
    real = np.asarray(truth, float)
    if len(real) < LEAST or any(len(c) != len(real) for c in columns.values()):
        raise ValueError(f"a ranking is judged by at least {LEAST} networks, each rated; got {len(real)}")
    whole = {name: kendall(c, real) for name, c in columns.items()}
    best = max((name for name in columns if name), key=lambda name: whole[name], default="")
    signs, of = {name: _signs(c) for name, c in columns.items()}, _signs(real)
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[float]] = {name: [] for name in columns}
    for _ in range(resamples):
        some = rng.integers(len(real), size=len(real))
        pairs = np.ix_(some, some)
        for name, own in signs.items():
            drawn[name].append(_tau(own[pairs], of[pairs]))
    n = len(real)
    taus = {name: Tau(whole[name], *_interval(np.array(drawn[name])), n) for name in columns}
    if best:
        gaps = np.array(drawn[""]) - np.array(drawn[best])
        ahead = Tau(whole[""] - whole[best], *_interval(gaps), n)
    else:
        ahead = taus[""]
    return Trust(taus[""], {name: taus[name] for name in columns if name}, ahead, best)


def _signs(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """Which of two is larger, for all pairs: (n, n) of -1, 0, 1."""
    return np.sign(values[:, None] - values[None, :]).astype(np.float32)


def _tau(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Tau-b of two tables of signs: their product over the geometric mean of what is not tied in each."""
    scale = float(np.sqrt(np.square(a).sum() * np.square(b).sum()))
    return float((a * b).sum()) / scale if scale else 0.0


def _interval(drawn: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


def _rounded(tau: Tau) -> dict[str, float]:
    return {"tau": round(tau.tau, 4), "low": round(tau.low, 4), "high": round(tau.high, 4)}
