"""Augment: shapes stay, the generator decides all, and each change is the one that its name says."""

from __future__ import annotations

import numpy as np
import torch

from nas.data import load
from nas.data.augment import Augment, augment, default_augment, mixup
from nas.data.part import Info


def pictures(count: int, *shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (count, *shape), dtype=np.uint8))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_augment_keeps_shape_and_type_and_follows_the_generator() -> None:
    images = pictures(16, 3, 12, 10)
    recipe = Augment(crop=2, flip=True, cutout=4)
    for batch in (images, images.float() / 255):
        once, again = augment(batch, generator(), recipe), augment(batch, generator(), recipe)
        assert once.shape == batch.shape
        assert once.dtype == batch.dtype
        assert torch.equal(once, again)
        assert not torch.equal(once, augment(batch, generator(1), recipe))
    assert augment(images, generator(), Augment()) is images


def test_crop_shifts_flip_mirrors_and_cutout_blanks() -> None:
    images = pictures(64, 2, 9, 9) // 2 + 1  # no zeros
    flipped = augment(images, generator(), Augment(flip=True))
    mirrored = [torch.equal(f, i.flip(2)) for f, i in zip(flipped, images, strict=True)]
    same = [torch.equal(f, i) for f, i in zip(flipped, images, strict=True)]
    assert all(m != s for m, s in zip(mirrored, same, strict=True))
    assert 16 < sum(mirrored) < 48
    shifts = set()
    for cropped, image in zip(augment(images, generator(), Augment(crop=1)), images, strict=True):
        wide = torch.nn.functional.pad(image, (1, 1, 1, 1))
        fits = [(r, c) for r in range(3) for c in range(3) if torch.equal(wide[:, r : r + 9, c : c + 9], cropped)]
        assert len(fits) == 1
        shifts.update(fits)
    assert len(shifts) == 9
    holes = augment(images, generator(), Augment(cutout=4)) == 0
    assert holes.any(dim=1).equal(holes.all(dim=1))
    sizes = holes[:, 0].flatten(1).sum(dim=1)
    assert sizes.max() == 16
    assert sizes.min() >= 4


def test_mixup_mixes_labels_as_it_mixes_images() -> None:
    labels = torch.arange(8) % 4
    images = torch.nn.functional.one_hot(labels, 4).float()[:, :, None, None]
    mixed, soft = mixup(images, labels, 4, 0.4, generator())
    assert torch.allclose(mixed[:, :, 0, 0], soft)
    assert torch.allclose(soft.sum(dim=1), torch.ones(8))
    assert torch.equal(mixup(images, labels, 4, 0.0, generator())[0], images)


def test_default_augment_suits_the_data() -> None:
    def info(name: str, *shape: int) -> Info:
        return Info(name, name, (shape[0], shape[1], shape[2]), 2, ("a", "b"), {}, "", (0.0,), (1.0,))

    assert default_augment(load("digits").info) == Augment(crop=1)
    assert default_augment(info("mnist", 1, 28, 28)) == Augment(crop=3)
    assert default_augment(info("fashion-mnist", 1, 28, 28)) == Augment(crop=2, flip=True)
    assert default_augment(info("cifar10", 3, 32, 32)) == Augment(crop=4, flip=True)
    assert default_augment(info("my-pets", 3, 64, 64)) == Augment(crop=8, flip=True)
