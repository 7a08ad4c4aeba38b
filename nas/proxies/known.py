"""Every proxy by its name, and what it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import final

from nas.proxies.codes import nwot, regions
from nas.proxies.counts import l2_norm, macs, params
from nas.proxies.entropy import entropy
from nas.proxies.facts import Facts
from nas.proxies.gaussian import zen
from nas.proxies.gradients import fisher, grad_norm, grasp, plain, snip
from nas.proxies.jacobian import epe_nas, jacob_cov
from nas.proxies.kernel import ntk
from nas.proxies.spread import zico
from nas.proxies.synflow import synflow


@final
@dataclass(frozen=True)
class Proxy:
    """How a network is scored without training it, larger for better.

    images, labels: whether it needs them; batches: how many it needs to say anything.
    """

    of: Callable[[Facts], float]
    about: str
    images: bool = False
    labels: bool = False
    batches: int = 0


def _labelled(of: Callable[[Facts], float], about: str, batches: int = 1) -> Proxy:
    return Proxy(of, about, images=True, labels=True, batches=batches)


def _seeing(of: Callable[[Facts], float], about: str) -> Proxy:
    return Proxy(of, about, images=True, batches=1)


PROXIES: Mapping[str, Proxy] = {
    "params": Proxy(params, "parameters"),
    "macs": Proxy(macs, "multiply-accumulates of an image"),
    "l2_norm": Proxy(l2_norm, "norms of the weights"),
    "synflow": Proxy(synflow, "log of the flow through absolute weights"),
    "zen": Proxy(zen, "change of the features of Gaussian weights"),
    "entropy": Proxy(entropy, "DeepMAD's entropy along the longest path"),
    "jacob_cov": _seeing(jacob_cov, "how little Jacobians of images correlate"),
    "nwot": _seeing(nwot, "log determinant of the agreement of activation codes"),
    "regions": _seeing(regions, "different activation codes"),
    "ntk": _seeing(ntk, "minus the condition number of the tangent kernel"),
    "epe_nas": _labelled(epe_nas, "how little Jacobians of one class correlate"),
    "grad_norm": _labelled(grad_norm, "norms of the gradients"),
    "snip": _labelled(snip, "sum of |weight x gradient|"),
    "plain": _labelled(plain, "sum of weight x gradient"),
    "fisher": _labelled(fisher, "Fisher information of channels"),
    "grasp": _labelled(grasp, "minus weight x Hessian x gradient"),
    "zico": _labelled(zico, "mean over spread of gradients from batch to batch", batches=2),
}
"""In the order of what they need: nothing, images, labels."""
DATA_FREE = tuple(name for name, proxy in PROXIES.items() if not proxy.images)
COUNTS = ("params", "macs")
"""What every other proxy must beat."""
