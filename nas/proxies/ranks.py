"""How two scores of the same networks agree in order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from nas.roles import Array

FEWEST = 3


def both(a: Array, b: Array) -> NDArray[np.bool_]:
    """Which networks have both scores, (n,) of booleans."""
    made: NDArray[np.bool_] = np.isfinite(a) & np.isfinite(b)
    return made


def spearman(a: Array, b: Array) -> float:
    """Spearman's rank correlation over the networks that have both; NaN for fewer than 3, or a constant score."""
    there = both(a, b)
    if there.sum() < FEWEST or np.ptp(a[there]) == 0 or np.ptp(b[there]) == 0:
        return float("nan")
    return float(spearmanr(a[there], b[there]).statistic)
