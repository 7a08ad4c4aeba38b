"""Transformers, hybrids of them with convolutions, and what was rated block by block: ViT-ResNAS, BossNet, DNA."""

from __future__ import annotations

from json import loads
from typing import Any

from nas.paper import Published
from search_spaces.dna import dna
from search_spaces.hytra import hytra
from search_spaces.vit_resnas import vit_resnas

Rows = tuple[tuple[int, int], ...]

IMAGENET: dict[str, Any] = {"input": [3, 224, 224], "classes": 1000}
TINY: dict[str, Any] = {**IMAGENET, "patch": 14, "drop_path": 0.2, "patch_head": True}
"""The super-net of ViT-ResNAS-Tiny (yilunliao/vit-search, supernet_config/sr_tiny_mh.py)."""
SMALL: dict[str, Any] = {
    **TINY,
    "embeds": [[320, 280, 240, 220, 200], [640, 560, 480, 440, 400], [1280, 1120, 960, 880, 800]],
    "heads": [[8, 7, 6, 5], [16, 14, 12, 10], [16, 14, 12, 10]],
    "mlps": [list(range(960, 479, -80)), list(range(1920, 959, -160)), list(range(3840, 1919, -320))],
    "blocks": [7, 7, 7],
    "drop_path": 0.3,
}
"""The super-net of ViT-ResNAS-Small and -Medium (supernet_config/sr_small_mh.py)."""
EQUAL_HEADS: dict[str, Any] = {
    **TINY,
    "heads": [[4, 3, 2], [8, 6, 4], [12, 10, 8, 6]],
    "head_dims": [64, 64, 64],
}
"""The super-net of the same size with 64 features in each head (supernet_config/sr_tiny_666.py)."""
RETRAINED: dict[str, Any] = {**IMAGENET, "form": "retrained"}
SQUEEZED: dict[str, Any] = {**RETRAINED, "act": "silu", "squeeze": 0.0625}


def _written(embeds: tuple[int, ...], dims: tuple[int, ...], stages: tuple[Rows, ...]) -> str:
    """The `network_def` of the public code, from heads and features of each block."""
    rows: list[Any] = []
    for s, (embed, dim, blocks) in enumerate(zip(embeds, dims, stages, strict=True)):
        rows.append((3, embeds[s - 1], embed) if s else (4, embed))
        rows += [(1, (embed, heads, dim), (embed, mlp), 1) for heads, mlp in blocks]
    return str((*rows, (2, embeds[-1], 1000)))


VIT = "Liao et al. 2021, arXiv:2109.00642, the results on ImageNet"
SCRIPTS = "yilunliao/vit-search scripts/vit-sr-nas"
BOSS = "Li et al. 2021, arXiv:2103.12424, the results on ImageNet"
BOSSNET_T = "[[5, 4, 3, 3], [3, 2, 3, 0], [0, 0, 1, 0], [0, 0, 0, 0]]"
"""The encoding of retraining_hytra/boss_models.py, [[1], [1], [1,1,1,0,1], [0,0,0,1,0,0,0,0,0]], by layer."""

HAND = "Li et al. 2021, arXiv:2103.12424, hand-made networks of its fabric"
MODELS = "changlin31/BossNAS retraining_hytra/boss_models.py"
ESTIMATES = "changlin31/BossNAS retraining_hytra/boss_madds.py"


def _fifty(last: str) -> str:
    """The stages of ResNet-50 as paths; last: the code of its last three layers."""
    return f"[[5, 5, 5, 4], [4, 4, 4, 3], [3, 3, 3, 3], [3, {last}, {last}, {last}]]"


def _dna(letter: str, text: str, c4: int = 96, c5: int = 192) -> Published:
    """A network of DNA; text: its operations, of three kernels after each of two expansions."""
    layers = [len(stage) for stage in loads(text)]
    settings = {**IMAGENET, "channels": [24, 40, 80, c4, c5], "layers": layers, "kernels": [3, 5, 7]}
    source = "Li et al. 2020, arXiv:1911.13053, the searched models"
    return Published(f"dna-{letter}", dna, settings, text, source, "changlin31/DNA retraining/model.py")


NETWORKS: tuple[Published, ...] = (
    Published(
        "vit-resnas-tiny",
        vit_resnas,
        TINY,
        _written(
            (176, 352, 704),
            (32, 48, 64),
            (
                ((3, 704), (3, 576), (3, 640), (4, 576), (4, 704)),
                ((10, 1408), (8, 1408), (8, 1280), (8, 1408), (10, 1280), (10, 1024)),
                ((10, 2560), (10, 1792), (10, 2816), (8, 2816), (8, 2560)),
            ),
        ),
        VIT,
        f"{SCRIPTS}/searched_net/tiny.sh",
    ),
    Published(
        "vit-resnas-small",
        vit_resnas,
        SMALL,
        _written(
            (220, 440, 880),
            (32, 48, 64),
            (
                ((5, 880), (5, 880), (7, 800), (5, 720), (5, 720), (5, 720)),
                ((10, 1760), (10, 1440), (10, 1920), (10, 1600), (12, 1600), (12, 1440)),
                ((16, 3200), (12, 3200), (16, 2880), (12, 2240), (14, 2560)),
            ),
        ),
        VIT,
        f"{SCRIPTS}/searched_net/small_mac@2.9G.sh",
    ),
    Published(
        "vit-resnas-medium",
        vit_resnas,
        SMALL,
        _written(
            (240, 640, 880),
            (32, 48, 64),
            (
                ((7, 960), (6, 960), (7, 800), (8, 960), (7, 880), (8, 880), (6, 800)),
                ((10, 1120), (14, 1760), (14, 1920), (16, 1760), (14, 1440), (16, 1760), (16, 1920)),
                ((16, 3200), (10, 3840), (16, 3840), (12, 3200), (16, 3520), (14, 3520)),
            ),
        ),
        VIT,
        f"{SCRIPTS}/searched_net/medium_mac@4.6G.sh",
    ),
    Published(
        "vit-res-tiny",
        vit_resnas,
        EQUAL_HEADS,
        _written((192, 384, 768), (64, 64, 64), (((3, 768),) * 4, ((6, 1536),) * 4, ((12, 3072),) * 4)),
        VIT,
        f"{SCRIPTS}/reference_net/tiny.sh",
    ),
    Published("bossnet-t0", hytra, SQUEEZED, BOSSNET_T, BOSS, MODELS),
    Published("bossnet-t0-nose", hytra, RETRAINED, BOSSNET_T, BOSS, MODELS),
    Published("bossnet-t1", hytra, {**SQUEEZED, "last_stride": 1}, BOSSNET_T, BOSS, MODELS),
    Published("hytra-resnet-50", hytra, RETRAINED, _fifty("1"), HAND, ESTIMATES),
    Published("hytra-botnet-50", hytra, RETRAINED, _fifty("0"), HAND, ESTIMATES),
    _dna("a", "[[4, 3, 0], [3, 3, 4, 0], [2, 3, 4, 0], [1, 4, 4, 1], [1, 4, 4, 4, 1]]", c5=160),
    _dna("b", "[[3, 4, 2], [2, 4, 2], [1, 4, 4, 0], [1, 4, 4, 1], [2, 4, 4, 4, 2]]"),
    _dna("c", "[[1, 0], [1, 1, 0, 1], [1, 0, 1, 1], [0, 1, 1, 4], [1, 4, 1, 1]]", c4=112),
    _dna("d", "[[2, 1, 2], [2, 2, 2, 2], [2, 1, 1, 2], [2, 1, 2, 1], [2, 1, 1, 1, 2]]", c4=112),
)
