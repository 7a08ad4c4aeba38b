"""What a network reaches on images that it does not train on."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from nas.data import Info, Part, batches
from nas.training.speed import PLAIN, Speed, arranged


@final
class Normal:
    """Images (B, C, H, W) in [0, 1] to zero mean and unit deviation by channel, in the layout of a way to train."""

    def __init__(self, info: Info, device: torch.device, speed: Speed) -> None:
        std = torch.tensor(info.std, dtype=torch.float64)
        mean = torch.tensor(info.mean, dtype=torch.float64)
        self._scale = (1 / std).float().reshape(1, -1, 1, 1).to(device)
        self._shift = (-mean / std).float().reshape(1, -1, 1, 1).to(device)
        self._format = speed.memory_format

    def __call__(self, images: Tensor) -> Tensor:
        """The images, scaled and shifted, as float32."""
        return arranged(torch.addcmul(self._shift, images, self._scale), self._format)


@torch.no_grad()
def accuracy(
    module: nn.Module, part: Part, info: Info, *, device: torch.device, batch_size: int = 512, speed: Speed = PLAIN
) -> dict[str, float]:
    """The share of images that a module labels correctly, and its mean cross-entropy, as "accuracy" and "loss".

    The module is left in the mode, training or not, in which it came. speed: number format and layout of the images.
    """
    training = module.training
    module.eval()
    right = torch.zeros((), dtype=torch.int64, device=device)
    loss = torch.zeros((), dtype=torch.float64, device=device)
    normal = Normal(info, device, speed)
    with speed.autocast(device):
        for images, labels in batches(part, batch_size, device=device, order=torch.arange(len(part))):
            logits = module(normal(images)).float()
            right += (logits.argmax(dim=1) == labels).sum()
            loss += functional.cross_entropy(logits, labels, reduction="sum")
    module.train(training)
    return {"accuracy": int(right) / len(part), "loss": float(loss) / len(part)}
