"""The network of a recurrent policy: LSTM, an embedding of each option, and what scores each option."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, final

import torch
from torch import Tensor, nn

from nas.strategies.controller import Controller
from nas.tree import Choice


@final
class Recurrent(nn.Module):
    """The LSTM, an embedding of each option, and what scores each option; an option is a row, -1 is none.

    rows: of the options of each choice. Its weights are as the memory was; whoever makes it fills them.
    """

    asked: Tensor
    """(choices, options): which rows are options of a choice."""
    limits: Tensor
    """(choices,): of the scores, infinite for none."""
    skips: Tensor
    """(choices,): the row by which a choice is a skip, 0 where it is no choice of a skip."""

    def __init__(self, controller: Controller, choices: Sequence[Choice], rows: Sequence[range]) -> None:
        super().__init__()
        units, options = controller.units, max((some.stop for some in rows), default=1)
        self.controller = controller
        with torch.device("meta"):  # torch would draw first weights from its global generator
            self.lstm = nn.LSTM(units, units, controller.layers, batch_first=True)
            self.embedding = nn.Embedding(options + 1, units)
            self.scores = nn.Linear(units, options)
        self.to_empty(device="cpu")
        asked = torch.tensor([[k in some for k in range(options)] for some in rows]).reshape(-1, options)
        pull = controller.skips
        skips = [some.stop - 1 if pull and pull.of(choice) else 0 for choice, some in zip(choices, rows, strict=True)]
        self.register_buffer("asked", asked.bool(), persistent=False)
        self.register_buffer("limits", torch.tensor([controller.limit(c.name) for c in choices]), persistent=False)
        self.register_buffer("skips", torch.tensor(skips), persistent=False)

    def forward(self, places: Tensor, rows: Tensor, there: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Sums over the picks that are `there`, (n,): log-probability, entropy; and the mean pull on skips.

        places, rows, there: (n, picks), which choice was asked, what was picked, and whether it was at all.
        """
        before = torch.cat((torch.full_like(rows[:, :1], -1), rows[:, :-1]), 1)
        out, _ = self.lstm(self.embedding(before + 1))
        each = self._log_probs(out, places)
        log_prob = each.gather(2, rows[..., None])[..., 0]
        entropy = -(each.exp() * each.masked_fill(~self.asked[places], 0)).sum(2)
        return (log_prob * there).sum(1), (entropy * there).sum(1), self._pull(each, places, there)

    @torch.no_grad()
    def next(self, row: int, place: int, held: Any) -> tuple[Tensor, Any]:
        """The log-probabilities of all rows, (options,), for the choice at a place, after a pick; and what to hold."""
        out, held = self.lstm(self.embedding(torch.tensor([[row + 1]])), held)
        return self._log_probs(out, torch.tensor([[place]]))[0, 0], held

    def _log_probs(self, out: Tensor, places: Tensor) -> Tensor:
        """(n, picks, options); scores are limit * tanh(score / temperature), as in ENAS (Bello et al. 2017)."""
        scores, limit = self.scores(out) / self.controller.temperature, self.limits[places][..., None].to(out)
        bounded = torch.where(limit.isinf(), scores, limit.nan_to_num(posinf=0.0) * scores.tanh())
        return bounded.masked_fill(~self.asked[places], -torch.inf).log_softmax(2)

    def _pull(self, each: Tensor, places: Tensor, there: Tensor) -> Tensor:
        """The mean over an architecture's skips of the divergence of their chance from the target, (n,)."""
        row = self.skips[places]
        counts = there & (row > 0)
        if self.controller.skips is None or not bool(counts.any()):
            return each.new_zeros(len(each))
        target, half = self.controller.skips.target, torch.tensor(0.5).log().to(each)
        yes, no = (
            torch.where(counts, each.gather(2, at.clamp(min=0)[..., None])[..., 0], half) for at in (row, row - 1)
        )
        pull = yes.exp() * (yes - math.log(target)) + no.exp() * (no - math.log(1 - target))
        return (pull * counts).sum(1) / counts.sum(1).clamp(min=1)


def rows_of(choices: Sequence[Choice], controller: Controller) -> list[range]:
    """The rows of each choice's options; choices of equal labels and limits have the same ones where they are tied."""
    given: dict[Any, range] = {}
    found, end = [], 0
    for choice in choices:
        key = (choice.labels, controller.limit(choice.name)) if controller.tied else choice.name
        found.append(given.setdefault(key, range(end, end + len(choice.options))))
        end = max(end, found[-1].stop)
    return found
