"""Splits by a seed, with every class in its share, the same on every machine."""

from __future__ import annotations

import hashlib

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def hold_out(labels: Tensor, size: int, *, seed: int, salt: str, spare: int = 1) -> tuple[Tensor, Tensor]:
    """Places (kept, held), each ascending, where `held` has about `size` places and each class its share.

    labels: (N,) int64. Shares are rounded by largest remainder. A class of more than `spare` images gives at least one
    if `size` is no less than the number of classes, and every class keeps at least `spare` (or all it has).
    salt: splits of one seed with different salts are independent.
    """
    counts = torch.bincount(labels).numpy()
    quota = _shares(counts, size, spare)
    order = shuffled(len(labels), seed=seed, salt=salt)
    by_class = labels.numpy()[order]
    grouped = order[np.argsort(by_class, kind="stable")]
    first = np.concatenate([[0], np.cumsum(counts)[:-1]])
    rank = np.arange(len(labels)) - np.repeat(first, counts)
    held = rank < np.repeat(quota, counts)
    return torch.from_numpy(np.sort(grouped[~held])), torch.from_numpy(np.sort(grouped[held]))


def shuffled(count: int, *, seed: int, salt: str) -> NDArray[np.int64]:
    """The places 0 to count - 1 in an order that the seed and the salt fix.

    Raw bits of PCG64 are sorted, because numpy promises the bits to stay the same in later versions, and no shuffle.
    """
    mark = int.from_bytes(hashlib.blake2b(f"{salt}/{seed}".encode(), digest_size=16).digest(), "big")
    return np.argsort(np.random.PCG64(mark).random_raw(count), kind="stable").astype(np.int64)


def _shares(counts: NDArray[np.int64], size: int, spare: int) -> NDArray[np.int64]:
    """How many of each class to hold out: `size` in all, if the limits of each class allow it."""
    exact = counts * (size / max(1, counts.sum()))
    limit = np.maximum(counts - spare, 0)
    least = np.minimum(limit, 1) if size >= np.count_nonzero(counts) else np.zeros_like(counts)
    quota: NDArray[np.int64] = np.clip(np.floor(exact).astype(np.int64), least, limit)
    while quota.sum() < size and (quota < limit).any():
        quota[np.argmax(np.where(quota < limit, exact - quota, -np.inf))] += 1
    while quota.sum() > size and (quota > least).any():
        quota[np.argmax(np.where(quota > least, quota - exact, -np.inf))] -= 1
    return quota
