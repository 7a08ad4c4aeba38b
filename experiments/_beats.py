"""Whether what a search drew is better than what chance drew."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from nas.space import Json

RESAMPLES = 2000


def beats(drawn: Sequence[float], chance: Sequence[float], seed: int) -> dict[str, Json]:
    """The means of both, larger is better, and their difference with the 95 % interval of its bootstrap."""
    mine, other, rng = np.asarray(drawn, float), np.asarray(chance, float), np.random.default_rng(seed)
    if not len(mine) or not len(other):
        return {"verdict": "nothing was rated"}
    gaps = [float(rng.choice(mine, len(mine)).mean() - rng.choice(other, len(other)).mean()) for _ in range(RESAMPLES)]
    low, high = (float(q) for q in np.quantile(gaps, [0.025, 0.975]))
    verdict = "better than random" if low > 0 else "worse than random" if high < 0 else "not better than random"
    return {
        "mean": round(float(mine.mean()), 4),
        "random": round(float(other.mean()), 4),
        "ahead": {"mean": round(float(mine.mean() - other.mean()), 4), "low": round(low, 4), "high": round(high, 4)},
        "verdict": verdict,
    }
