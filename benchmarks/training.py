"""How many images per second our training loop reaches beside a bare PyTorch loop, on the same network.

Both train in this process, by turns, one epoch each, on random images of the size of digits and of Fashion-MNIST.
"plain": SGD with Nesterov's momentum, the same rate at each step, cross-entropy, no clipping, no average, no
augmentation. "full": the default recipe; the bare loop then also smooths labels, follows the cosine, clips, averages
weights and statistics, and crops, as one would write it by hand with what torch offers. The bare loop holds its images
as normalised floats in memory, which is its best case; ours takes bytes and normalises each batch. Prints, for each
case, the median of the ratios ours / bare over the turns, their quartiles, and whether the median is at least 0.97.

The process keeps its heap, as our workers do, for both loops; with --stock-heap it does not, and page faults blur
the ratios of the larger images by a tenth either way.

Run: python benchmarks/training.py [--turns 15] [--threads 1] [--stock-heap]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from nas.data import Info
from nas.data.augment import Augment, augment
from nas.data.part import Memory
from nas.training import Recipe, keep_heap
from nas.training.recipe import rate
from nas.training.steps import Training

FLOOR = 0.97
CPU = torch.device("cpu")
PLAIN = Recipe(epochs=1, label_smoothing=0, clip=0, ema=0, warmup=0, augment=Augment())
FULL = Recipe(epochs=1, augment=Augment(crop=1))


def dense(classes: int = 10) -> nn.Module:
    """A small dense net: 3 x 3 convolutions of 16, 32 and 64 channels, two to a stage."""
    layers: list[nn.Module] = []
    before = 1
    for width, stride in ((16, 1), (16, 1), (32, 2), (32, 1), (64, 2), (64, 1)):
        layers += [nn.Conv2d(before, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        before = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, classes))


class Inverted(nn.Module):
    """An inverted residual: widen by 3, depthwise 3 x 3, narrow (Sandler et al. 2018)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        wide = 3 * before
        self.adds = before == after and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(before, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU6(inplace=True),
            nn.Conv2d(wide, after, 1, bias=False),
            nn.BatchNorm2d(after),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, before, H, W) to (B, after, H / stride, W / stride)."""
        found: Tensor = self.layers(images)
        return images + found if self.adds else found


def depthwise(classes: int = 10) -> nn.Module:
    """A small net of inverted residuals."""
    blocks = [Inverted(16, 16, 1), Inverted(16, 24, 2), Inverted(24, 24, 1), Inverted(24, 40, 2), Inverted(40, 40, 1)]
    stem = nn.Sequential(nn.Conv2d(1, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU6(inplace=True))
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(40, classes))


class Bare:
    """A training loop as one writes it by hand, with nothing that its recipe does not ask for."""

    def __init__(self, module: nn.Module, images: Tensor, labels: Tensor, recipe: Recipe, epochs: int) -> None:
        self.module, self.images, self.labels, self.recipe = module.train(), images, labels, recipe
        heavy = [value for value in module.parameters() if value.ndim >= 2]
        light = [value for value in module.parameters() if value.ndim < 2]
        self.optimiser = torch.optim.SGD(
            [{"params": heavy, "weight_decay": recipe.weight_decay}, {"params": light, "weight_decay": 0.0}],
            lr=recipe.peak,
            momentum=recipe.momentum,
            nesterov=True,
            fused=True,
        )
        self.average = copy.deepcopy(module) if recipe.ema else None
        self.step, self.steps = 0, epochs * (len(images) // recipe.batch_size)
        self.generator = torch.Generator().manual_seed(0)

    def run_epoch(self) -> None:
        """One pass over the images."""
        recipe, total = self.recipe, torch.zeros(())
        order = torch.randperm(len(self.images), generator=self.generator)
        for index in order.split(recipe.batch_size):
            images, labels = self.images[index], self.labels[index]
            if recipe.augment != Augment():
                images = augment(images, self.generator, recipe.augment or Augment())
                images = images.flatten().view(images.shape)  # else its strides pass for channels_last, and ours' not
            for group in self.optimiser.param_groups:
                group["lr"] = rate(self.step, self.steps, peak=recipe.peak, warmup=recipe.warmup)
            loss = functional.cross_entropy(self.module(images), labels, label_smoothing=recipe.label_smoothing)
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            if recipe.clip:
                nn.utils.clip_grad_norm_(self.module.parameters(), recipe.clip)
            self.optimiser.step()
            if self.average is not None:
                decay = min(recipe.ema, (1 + self.step) / (10 + self.step))
                with torch.no_grad():
                    new = [*self.module.parameters(), *(b for b in self.module.buffers() if b.is_floating_point())]
                    old = [*self.average.parameters(), *(b for b in self.average.buffers() if b.is_floating_point())]
                    torch._foreach_lerp_(old, new, 1 - decay)
            total += loss.detach()
            self.step += 1


def timed(work: Callable[[], None]) -> float:
    """Seconds of a call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def ratios(make: Callable[[], nn.Module], side: int, recipe: Recipe, turns: int) -> tuple[list[float], float]:
    """Ours / bare in images per second, turn by turn, and the median of ours."""
    count = recipe.batch_size * (24 if side < 16 else 8)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (count, 1, side, side), generator=generator, dtype=torch.uint8)
    labels = torch.randint(10, (count,), generator=generator)
    names = tuple("0123456789")
    info = Info("random", "random", (1, side, side), 10, names, {"train": count}, "0" * 16, (0.5,), (0.3,))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        first = make()
    recipe = replace(recipe, epochs=turns + 2, precision="fp32", layout="contiguous", compile="off")
    images = (pixels.float() / 255 - 0.5) / 0.3
    bare = Bare(copy.deepcopy(first), images, labels, recipe, turns + 2)
    ours = Training(first, Memory(pixels, labels), info, recipe, seed=0, device=CPU)
    ours.start(None)
    found, speeds = [], []
    for turn in range(turns + 2):
        # Who goes first alternates, so that neither profits from a warm cache.
        works = [("ours", ours.run_epoch), ("bare", bare.run_epoch)]
        times = {name: timed(work) for name, work in (works if turn % 2 else works[::-1])}
        if turn >= 2:
            found.append(times["bare"] / times["ours"])
            speeds.append(count / times["ours"])
    return found, statistics.median(speeds)


def main() -> int:
    """Prints one line a case; 1 if a median is below the floor."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--stock-heap", action="store_true")
    asked = parser.parse_args()
    kept = not asked.stock_heap and keep_heap()
    torch.set_num_threads(asked.threads)
    worst = 2.0
    print(f"torch {torch.__version__}, {asked.threads} thread(s), batch 64, {asked.turns} turns, heap kept: {kept}")
    print(f"{'network':<10} {'images':<7} {'recipe':<6} {'images/s':>9} {'ratio':>6}  quartiles")
    for make in (dense, depthwise):
        for side in (8, 28):
            for name, recipe in (("plain", PLAIN), ("full", FULL)):
                found, speed = ratios(partial(make), side, recipe, asked.turns)
                low, middle, high = statistics.quantiles(found, n=4)
                worst = min(worst, middle)
                size = f"{side}x{side}"
                print(f"{make.__name__:<10} {size:<7} {name:<6} {speed:>9,.0f} {middle:>6.3f}  {low:.3f} to {high:.3f}")
    print(f"worst median {worst:.3f}: {'at least' if worst >= FLOOR else 'BELOW'} {FLOOR}")
    return 0 if worst >= FLOOR else 1


if __name__ == "__main__":
    raise SystemExit(main())
