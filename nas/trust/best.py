"""The probability that a network is the best."""

from __future__ import annotations

import numpy as np

from nas.roles import Array, Prediction
from nas.trust.errors import Errors

DRAWS = 1000
RIVALS = 1000
"""Networks that may be the best: those of the highest upper bounds."""
BOUND = 0.9
SHARED = 0.3
"""The part of its error that a network has in common with all others: their correlation is its square. Without it the
luckiest of many rivals is too often ahead of what was measured."""
OWN = (1 - SHARED**2) ** 0.5


def chances(said: Prediction, errors: Errors, measured: Array, *, seed: int = 0) -> tuple[Array, Array]:
    """How probable it is that a network has the highest value of all: of those predicted (n,), of those measured (m,).

    Monte Carlo: a value is its prediction and a calibrated error; what was measured stays as it is, and equal ones
    share. The errors are drawn from those held out, which are weighed anew each time (the Bayesian bootstrap, Rubin
    1981); a part of each, SHARED, is common to all networks, the rest its own. NaN where nothing could be held out.
    """
    if not len(errors.shares):
        return np.full(len(said.mean), np.nan), np.full(len(measured), np.nan)
    rng, scale = np.random.default_rng(seed), errors.scale(said.std)
    bound = float(np.quantile(np.abs(errors.shares), BOUND))
    rivals = np.argsort(-(said.mean + bound * scale), kind="stable")[:RIVALS]
    most = float(measured.max()) if len(measured) else -np.inf
    won, kept = np.zeros(len(said.mean)), 0
    for _ in range(DRAWS if len(rivals) else 0):
        parts = np.cumsum(rng.exponential(size=len(errors.weights)) * errors.weights)
        drawn = np.searchsorted(parts, rng.random(len(rivals) + 1) * parts[-1], "right")
        off = errors.shares[np.minimum(drawn, len(parts) - 1)]
        values = said.mean[rivals] + (SHARED * off[-1] + OWN * off[:-1]) * scale[rivals]
        best = int(values.argmax())
        if values[best] > most:
            won[rivals[best]] += 1
        else:
            kept += 1
    leading = measured == most
    rest = kept / DRAWS if len(rivals) else 1.0
    return won / DRAWS, np.where(leading, rest / max(int(leading.sum()), 1), 0.0)
