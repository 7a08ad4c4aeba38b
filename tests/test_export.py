from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np
import pytest
import torch

from nas.export import export, prove, source
from nas.export.forward import UNREAD
from nas.profile import profile
from nas.space import Space
from nas.tree import (
    Chain,
    Dag,
    Node,
    Shape,
    Take,
)
from search_spaces import SPACES
from search_spaces.ops import AvgPool, Classifier, Conv, ConvNormAct, MBConv, SqueezeExcite
from tests.exports import IMAGE, load_file, macs, text, tidy, trained, written

IMAGES = ((1, 28, 28), (3, 33, 40), (3, 16, 16), (1, 9, 11))


def spaces(image: Shape) -> tuple[Space, Space]:
    return SPACES["nasbench201"](image, 10, cells=2, channels=8), SPACES["mobile"](image, 10)


def drawn(folder: Path, count: int) -> list[tuple[Path, Node, Shape]]:
    """`count` random architectures of each space at varied input shapes, written."""
    rng, made = np.random.default_rng(count), []
    for k in range(count):
        for space in spaces(IMAGES[k % len(IMAGES)]):
            network = space.network(space.sample(rng))
            made.append(
                (written(network, space.input, folder / f"{space.name}{k}", space.name, k), network, space.input)
            )
    return made


def agree(made: list[tuple[Path, Node, Shape]]) -> None:
    """Each export makes what the trained network makes, and costs what the profile says."""
    for (folder, network, shape), found in zip(made, prove([f for f, _, _ in made]), strict=True):
        assert found["model.py"] <= 1e-5, folder
        assert found["params"] == profile(network, shape).total.params, folder
        assert found["macs"] == macs(network, shape) == profile(network, shape).total.macs, folder


def test_random_architectures_run_without_this_project_and_make_the_same(tmp_path: Path) -> None:
    made = drawn(tmp_path, 20)
    agree(made)
    tidy(tmp_path)
    assert any(UNREAD in (folder / "model.py").read_text() for folder, _, _ in made)


@pytest.mark.slow
def test_two_hundred_random_architectures(tmp_path: Path) -> None:
    agree(drawn(tmp_path, 200))
    tidy(tmp_path)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch's exporters warn about themselves
@pytest.mark.parametrize("k", range(10))
def test_program_and_onnx_make_the_same(tmp_path: Path, k: int) -> None:
    rng = np.random.default_rng(k)
    for space in spaces(IMAGES[k % len(IMAGES)]):
        network = space.network(space.sample(rng))
        module = trained(network, space.input, k)
        made = export(network, space.input, module, tmp_path / space.name, name=space.name, about={}, onnx=True)
        assert set(made.largest_difference) == {"model.py", "model.pt2", "model.onnx"}
        assert made.largest_difference["model.pt2"] <= 1e-5


def test_a_repeated_block_is_one_class_in_a_loop() -> None:
    space = SPACES["nasbench201"]((3, 32, 32), 10, cells=5, channels=16)
    ops = ("nor_conv_3x3", "skip_connect", "avg_pool_3x3", "nor_conv_1x1", "none", "nor_conv_3x3")
    network = space.network(space.parse("|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|".format(*ops)))
    made = text(network, space.input, space.name)
    assert made.count("class Cell(") == 1
    assert "self.stage2 = nn.Sequential(*[Cell(32) for _ in range(5)])" in made
    assert "node2 = x + self.node2_from1(node1)" in made
    assert "return self.node3_from0(x) + self.node3_from2(node2)" in made
    assert "node3_from1" not in made


def test_blocks_that_differ_in_numbers_are_one_class_with_parameters() -> None:
    blocks = [
        MBConv(6, 3, 2, 1),
        MBConv(8, 5, 3, 2, SqueezeExcite()),
        MBConv(8, 3, 3, 2),
        MBConv(8, 3, 3, 1, act="silu"),
    ]
    made = text(Chain.of(stem=Conv(6), body=Chain.seq(*blocks), head=Classifier(2)))
    for line in (
        "hidden = in_channels * expand",
        "SqueezeExcitation(hidden, squeezed) if squeezed else nn.Identity(),",
        "self.skip = stride == 1 and in_channels == channels",
        "return x + out if self.skip else out",
        "MBConv(6, 8, expand=3, kernel=5, stride=2, squeezed=8),",
    ):
        assert line in made
    assert made.count("class MBConv") == 1


def test_a_part_that_nothing_reads_is_run_since_it_was_trained() -> None:
    dag = Dag.of(dead=Take(0, Conv(4, 3)), pool=Take(1, AvgPool()), out=Take(0, Conv(4, 1)))
    network = Chain.of(stem=Conv(4), cell=dag)
    made = text(network)
    assert f"{UNREAD}\n        self.dead(x)\n" in made
    assert "AvgPool2d" not in made  # it has no weights
    assert macs(network, IMAGE) == profile(network, IMAGE).total.macs


def test_of_parts_in_a_row_that_nothing_reads_the_last_one_says_it() -> None:
    dag = Dag.of(one=Take(0, Conv(4, 3)), two=Take(1, Conv(4, 1)), three=Take(1, Conv(5, 1)), out=Take(0, Conv(4, 1)))
    made = text(Chain.of(stem=Conv(4), cell=dag))
    assert f"one = self.one(x)\n        {UNREAD}\n        self.two(one)\n        self.three(one)\n" in made


def test_without_weights_the_source_is_the_classes_alone(tmp_path: Path) -> None:
    written = source(Chain.of(stem=ConvNormAct(4), head=Classifier(2)), IMAGE, "small", {}, dtypes=())
    (tmp_path / "model.py").write_text(written.text)
    tidy(tmp_path)
    assert "load" not in written.text
    made = load_file(tmp_path / "model.py")
    assert made.Small()(torch.zeros(3, *IMAGE)).shape == (3, 2)


def test_the_source_is_the_same_in_every_run_and_quick() -> None:
    space = SPACES["mobile"]((3, 64, 64), 10, depths=(6,))
    network = space.network(space.sample(np.random.default_rng(0)))
    start = process_time()
    assert text(network, space.input) == text(network, space.input)
    assert process_time() - start < 1
