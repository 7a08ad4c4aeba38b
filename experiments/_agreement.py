"""How ratings rank the networks that were trained alone."""

from __future__ import annotations

from collections.abc import Mapping

from scipy.stats import spearmanr

from nas.problem import Problem
from nas.ranking import LEAST, trust
from nas.space import Architecture, Json


def agreement(
    problem: Problem, rated: Mapping[Architecture, float], real: Mapping[Architecture, float]
) -> dict[str, Json]:
    """Spearman's and Kendall's correlation over what both know, and what counting MACs gives."""
    both = [arch for arch in real if arch in rated]
    if len(both) < LEAST:
        return {"networks": len(both), "verdict": f"too few networks to tell: {len(both)}"}
    ratings, truth = [rated[arch] for arch in both], [real[arch] for arch in both]
    macs = {"macs": [problem.screen(arch).metrics["macs"] for arch in both]}
    flat = len(set(ratings)) == 1 or len(set(truth)) == 1
    rho = 0.0 if flat else round(float(spearmanr(ratings, truth).statistic), 4)
    return {"spearman": rho, **dict(trust(ratings, truth, macs).json())}
