"""How far a ranking can be trusted: Kendall's tau and its interval, beside that of counting, or of held-out trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from scipy.stats import t as student

Numbers = Sequence[float] | NDArray[np.float64]
RESAMPLES = 2000
MOST = 0.98
"""Where Fisher's scale ends, or where half a pair is wrong, so that a perfect order of a few is no certainty."""
LEAST = 4
"""Networks that a ranking is judged by, at least."""
WIDER = 1.25
"""By how much the interval of held-out predictions is wider than that of as many independent ones: they share most of
what they were learnt from. Measured on other searches than those that docs/figures.md reports."""


@final
@dataclass(frozen=True)
class Tau:
    """Kendall's tau-b of two rankings of `count` networks, and its interval: of 95 % where nothing else is said."""

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


def held(scores: Numbers, truth: Numbers, weights: Numbers | None = None, *, level: float = 0.9) -> Tau:
    """Tau of held-out predictions in the population that the weights stand for, with the interval of a level.

    scores, truth, weights: (n,); a pair counts by the product of its weights. The interval is that of the delete-one
    jackknife on Fisher's scale, atanh(tau), with Student's quantile, never narrower than 0.437 / (n - 4) allows, the
    variance there for normal pairs (Fieller, Hartley and Pearson 1957, Biometrika 44), and widened by WIDER. Of fewer
    than LEAST networks tau is NaN, and the interval everything.
    """
    own, of = _signs(np.asarray(scores, float)), _signs(np.asarray(truth, float))
    n = len(of)
    if n < LEAST:
        return Tau(float("nan"), -1.0, 1.0, n)
    w = np.ones(n) if weights is None else np.asarray(weights, float)
    pairs = np.outer(w, w)
    sums = np.array([(pairs * a * b).sum(1, dtype=float) for a, b in ((own, of), (own, own), (of, of))])
    whole = sums.sum(1)
    tau = _share(whole[:, None])[0]
    without = _share(whole[:, None] - 2 * sums)
    most = min(MOST, 1 - 2 / (n * (n - 1)))
    at = float(np.arctanh(np.clip(tau, -most, most)))
    jackknife = (n - 1) / n * float(np.square(without - without.mean()).sum()) / (1 - np.tanh(at) ** 2) ** 2
    spread = np.sqrt(max(jackknife, 0.437 / max(n - 4, 0.5)))
    half = WIDER * float(student.ppf((1 + level) / 2, n - 1)) * float(spread)
    return Tau(float(tau), float(np.tanh(at - half)), float(np.tanh(at + half)), n)


def _share(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Tau-b of sums of products (own and truth, own and own, truth and truth), (3, n); 0 where one is constant."""
    scale = np.sqrt(np.maximum(sums[1], 0) * np.maximum(sums[2], 0))
    made: NDArray[np.float64] = np.where(scale > 1e-12, sums[0] / np.maximum(scale, 1e-12), 0.0)
    return made


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
