"""Drawings: everything that a network computes is in them, nothing overlaps, edges go down."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from nas.decision import decides_only
from nas.drawing import Panel, panels, svg
from nas.drawing.panels import BY
from nas.drawing.svg import HIGH, _layers, _placed
from nas.graph import graph
from nas.tree import Chain, Dag, Node, Shape, Sum, Take, TrainHead, Zero
from search_spaces import SPACES
from search_spaces.ops import Classifier, Conv, ConvNormAct, MBConv, Norm
from tests.commands import typed
from tests.exports import IMAGE

CELL = Dag.of(
    a=Take(0, ConvNormAct(4)),
    b=Sum.of(x=Take(1, Norm()), y=Take(0, Zero())),
    c=Sum.of(x=Take(1, Norm()), y=Take(2, Conv(4))),
)
NETWORK = Chain.of(
    stem=Conv(4), cells=Chain.seq(*[CELL] * 7), aux=TrainHead(Classifier(3)), end=MBConv(4), head=Classifier(3)
)


def drawn(network: Node = NETWORK, shape: Shape = IMAGE) -> list[Panel]:
    return panels(graph(network, shape), "net")


def test_equal_blocks_in_a_row_are_one_box_and_one_panel() -> None:
    whole, cell, end = drawn()
    assert [(b.title, b.times) for b in whole.boxes if b.kind == "block"] == [("block of cells", 7), ("end", 1)]
    assert (cell.title, end.title) == ("block of cells", "end")
    words = [b.title for b in cell.boxes if b.kind not in ("input", "output")]
    conv = f"Conv 3{BY}3"
    assert words == [f"{conv} \N{MIDDLE DOT} Norm \N{MIDDLE DOT} relu", "Norm", "Norm", conv, "sum"]


def test_zeros_and_heads_of_train_mode_are_left_out() -> None:
    texts = " ".join(b.title for panel in drawn() for b in panel.boxes)
    assert "zero" not in texts
    assert texts.count("Linear") == 1


@pytest.mark.parametrize("name", sorted(name for name, make in SPACES.items() if not decides_only(make().root)))
def test_random_networks_are_drawn_whole(name: str) -> None:
    space = SPACES[name]()
    for seed in range(2):
        arch = space.sample(np.random.default_rng(seed))
        made = panels(graph(space.network(arch), space.input), name)
        root = ElementTree.fromstring(svg(made))
        assert len(root.findall(".//{*}marker")) == 1
        titles = {panel.title for panel in made}
        assert len(titles) == len(made)
        for panel in made:
            check(panel, titles)


def check(panel: Panel, titles: set[str]) -> None:
    assert all(not b.detail or b.detail in titles for b in panel.boxes)
    assert all(a < b for a, b in panel.edges)
    read, fed = {a for a, _ in panel.edges}, {b for _, b in panel.edges}
    for n, box in enumerate(panel.boxes):
        assert n in fed or box.kind == "input", f"{panel.title}: nothing feeds {box.title}"
        assert n in read or box.kind == "output", f"{panel.title}: nothing reads {box.title}"
    rows, ways = _layers(panel)
    places = _placed(panel, rows, ways)
    for row in rows:
        for a, b in pairwise(sorted(row, key=lambda n: places[n].x)):
            assert places[a].x + places[a].wide / 2 <= places[b].x - places[b].wide / 2, panel.title
    for a, b in panel.edges:
        assert places[a].y + HIGH / 2 < places[b].y - HIGH / 2


def test_the_command_draws_a_network_and_the_best_of_a_run(
    tmp_path: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = typed(capsys, "show", "mobile", "--svg", tmp_path / "net.svg", "--json")
    assert code == 0
    assert json.loads(out)["svg"] == str(tmp_path / "net.svg")
    assert re.search("stage1", (tmp_path / "net.svg").read_text())
    code, _, _ = typed(capsys, "show", folder, "--svg", tmp_path / "best.svg")
    assert code == 0
    ElementTree.parse(tmp_path / "best.svg")
    code, _, err = typed(capsys, "show", folder, "--trial", "99")
    assert code == 2
    assert "has no trial 99" in err
