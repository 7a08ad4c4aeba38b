"""Image files brought to one shape, and the threads that do so."""

from __future__ import annotations

import functools
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from nas.data.source import Style

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff"})
GREY = frozenset({"1", "L", "LA", "I", "F"})


def threads() -> ThreadPoolExecutor:
    """The threads of this process that decode: as many as it has cores."""
    return _threads(os.getpid())


@functools.lru_cache(maxsize=1)
def _threads(_process: int) -> ThreadPoolExecutor:
    # A forked process has its parent's pool but not its threads, so the pool goes by process.
    Image.init()  # PIL finds its formats now, for it may miss one if two threads set out to find them
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return ThreadPoolExecutor(cores, thread_name_prefix="decode")


def glance(path: Path) -> tuple[bool, int] | None:
    """Whether an image is grey, and its shorter side, from its first bytes; None if it is no image."""
    try:
        with Image.open(path) as image:
            return image.mode in GREY or image.mode.startswith("I;"), min(image.size)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
        return None


def decode(path: Path, style: Style) -> NDArray[np.uint8] | None:
    """An image as (C, size, size): turned as its EXIF says, shorter side resized, middle cut; None if unreadable."""
    side = style.size or 0
    try:
        with Image.open(path) as image:
            return _square(image, side, style.channels)
    except Exception:  # PIL raises almost anything on a broken file
        return None


def _square(image: Image.Image, side: int, channels: int) -> NDArray[np.uint8]:
    # A JPEG is decoded at a fraction of its size where that leaves twice what is needed.
    image.draft("L" if channels == 1 else "RGB", (2 * side, 2 * side))
    upright: Any = ImageOps.exif_transpose(image)
    upright = _eight_bit(upright)
    if upright.mode == "P" and "transparency" in upright.info:
        upright = upright.convert("RGBA")
    upright = upright.convert("L" if channels == 1 else "RGB")
    width, height = upright.size
    scale = side / min(width, height)
    size = (max(side, round(width * scale)), max(side, round(height * scale)))
    if size != upright.size:
        upright = upright.resize(size, Image.Resampling.BILINEAR)
    left, top = (size[0] - side) // 2, (size[1] - side) // 2
    pixels = np.asarray(upright.crop((left, top, left + side, top + side)), dtype=np.uint8)
    return pixels[None] if channels == 1 else pixels.transpose(2, 0, 1)


def _eight_bit(image: Image.Image) -> Image.Image:
    """Images of 16 bits scaled to 8; floats are taken to lie in 0 to 255, or in 0 to 1."""
    if not (image.mode.startswith("I") or image.mode == "F"):
        return image
    pixels = np.asarray(image, dtype=np.float64)
    if image.mode == "F":
        pixels = pixels if pixels.max() > 1 else pixels * 255
    elif image.mode != "I" or pixels.max() > 255:
        pixels = pixels / 257
    return Image.fromarray(np.rint(pixels).clip(0, 255).astype(np.uint8))
