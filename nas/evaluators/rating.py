"""How good sub-networks of a supernet are without any training of their own."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from nas.data import Info, Part, batches, subset
from nas.data.split import shuffled
from nas.space import Architecture
from nas.training.measure import Normal
from nas.training.speed import PLAIN, Speed, reshaped
from nas.weights import Supernet
from nas.weights.supernet import Statistics

CALIBRATION = 2048
"""Images from which running statistics are taken: 2,000 in Once-for-all, 25,600 in SPOS."""


@final
class Rater:
    """Rates architectures by the weights that they inherit: running statistics anew for each, then validation images.

    The batches are made once and stay on the device. calibration: training images for the statistics, in batches of
    `batch_size`; images: of the validation part, 0 for all.
    """

    def __init__(
        self,
        supernet: Supernet,
        train: Part,
        validation: Part,
        info: Info,
        *,
        device: torch.device,
        calibration: int = CALIBRATION,
        images: int = 0,
        batch_size: int = 128,
        seed: int = 0,
        speed: Speed = PLAIN,
    ) -> None:
        self.supernet, self.device, self.speed = supernet.to(device), device, speed
        reshaped(self.supernet, speed.memory_format)
        normal = Normal(info, device, speed)
        few = subset(train, min(calibration, len(train)), seed=seed) if calibration else None
        size = min(batch_size, len(few)) if few is not None else 0
        self._seen = [] if few is None else [x for x, _ in _batches(few, size, normal, device, seed) if len(x) == size]
        rated = subset(validation, images, seed=seed) if 0 < images < len(validation) else validation
        self._rated = list(_batches(rated, batch_size, normal, device, seed))

    def __call__(self, arch: Architecture) -> dict[str, float]:
        """The accuracy and the mean cross-entropy on the validation images, with the weights that it inherits."""
        statistics = self.statistics(arch)
        right = loss = torch.zeros((), device=self.device)
        count = 0
        with torch.no_grad(), self.speed.autocast(self.device):
            self.supernet.eval()
            for images, labels in self._rated:
                logits = self.supernet(images, arch, statistics).float()
                right = right + (logits.argmax(1) == labels).sum()
                loss = loss + functional.cross_entropy(logits, labels, reduction="sum")
                count += len(labels)
        return {"accuracy": float(right) / count, "loss": float(loss) / count}

    def statistics(self, arch: Architecture) -> Statistics:
        """The running statistics of an architecture, from nothing, over the calibration batches.

        Those of other networks, or a moving average over them, would not do (arXiv:1904.00420, section 3.4).
        """
        with self.speed.autocast(self.device):
            return self.supernet.calibrated(arch, self._seen)


def _batches(part: Part, size: int, normal: Normal, device: torch.device, seed: int) -> list[tuple[Tensor, Tensor]]:
    # In a folder's own order a batch would be of one class, and so would its statistics.
    order = torch.from_numpy(shuffled(len(part), seed=seed, salt="rating"))
    every = batches(part, size, device=device, order=order)
    return [(normal(pixels), labels) for pixels, labels in every]
