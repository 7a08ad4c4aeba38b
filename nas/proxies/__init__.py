"""Proxies that score a network without training it."""

from nas.proxies.facts import Batch, Score
from nas.proxies.known import COUNTS, DATA_FREE, PROXIES, Proxy
from nas.proxies.scoring import BATCH, Rows, draw, score, scored

__all__ = ["BATCH", "COUNTS", "DATA_FREE", "PROXIES", "Batch", "Proxy", "Rows", "Score", "draw", "score", "scored"]
