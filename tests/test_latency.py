"""Latency and memory on the device at hand, layer tables, device files and the script for elsewhere."""

import json
import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from torch import nn

from nas import plugins
from nas.build import build
from nas.errors import ENVIRONMENT, USAGE, UserError
from nas.graph import graph
from nas.latency import timing
from nas.latency.devices import Known, device, read
from nas.latency.layers import layers, of_graph, walk
from nas.latency.script import script
from nas.latency.table import Correction, Table, estimate
from nas.latency.taking import spread, take
from nas.latency.timing import Asked, Session, latency, measure, memory
from nas.problem import Problem, at_most
from nas.settings import Settings
from nas.settle import settle
from nas.space import Space
from nas.tree import Chain, Choice, Concat, Identity, Sum, Zero
from nas.units import limit
from search_spaces.ops.conv import ConvNormAct
from tests.commands import SEARCH, typed

CPU = torch.device("cpu")
TINY = ["--input", "1,8,8", "--classes", "10", "--set", "cells=1", "--set", "channels=4"]


def tiny():
    return plugins.space("nasbench201", input=(1, 8, 8), classes=10, cells=1, channels=4)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A device file of a small space, measured once."""
    file = tmp_path_factory.mktemp("latency") / "here.json"
    take(tiny(), CPU, file, networks=4)
    return file


def changed(file, to, **fields):
    to.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    return to


class Waits(nn.Module):
    def __init__(self, seconds):
        super().__init__()
        self.seconds, self.threads = seconds, []

    def forward(self, x):
        assert not self.training
        self.threads.append((torch.get_num_threads(), x.shape))
        time.sleep(self.seconds)
        return x


def test_a_latency_is_a_median_after_warming_up_at_the_threads_and_batch_that_are_asked():
    module, before = Waits(0.002), torch.get_num_threads()
    found = measure(module, (3, 4, 4), CPU, threads=2, batch=5, times=8)
    assert set(module.threads) == {(2, (5, 3, 4, 4))}
    assert len(module.threads) == timing.WARM + 8
    assert 0.002 <= found.low <= found.seconds <= found.high
    assert torch.get_num_threads() == before
    assert module.training
    assert latency(Waits(0.001), (3, 4, 4), CPU) >= 0.001


def test_a_short_layer_is_called_many_times_between_two_looks_at_the_clock():
    found = measure(nn.ReLU(), (4,), CPU, times=3, block=1e-3)
    assert found.calls > 10
    assert found.seconds < 1e-3


def test_memory_is_weights_and_the_most_that_lives_at_a_time():
    halves = nn.Sequential(nn.Conv2d(1, 8, 1, bias=False), nn.Conv2d(8, 1, 1, bias=False))
    # 16 weights; at the first convolution 1 and 8 channels live, at the second 8 and 1, with the input held: 1 + 8 + 1
    assert memory(halves, (1, 16, 16), CPU) == 4 * (16 + 10 * 256)
    assert memory(halves, (1, 16, 16), CPU, batch=3) == 4 * (16 + 30 * 256)
    assert memory(nn.Flatten(), (1, 16, 16), CPU) == 4 * 256  # a view is no copy


def test_memory_lets_go_of_what_a_network_lets_go():
    deep = Chain.seq(*(ConvNormAct(8) for _ in range(2)))
    deeper = Chain.seq(*(ConvNormAct(8) for _ in range(8)))
    few, many = (build(tree, (8, 16, 16)) for tree in (deep, deeper))
    weights = [sum(t.nbytes for t in m.state_dict().values()) for m in (few, many)]
    lives = [memory(m, (8, 16, 16), CPU) - w for m, w in zip((few, many), weights, strict=True)]
    assert lives[0] == lives[1]


def test_the_layers_of_a_graph_are_what_its_network_runs():
    space = plugins.space("mobile", input=(3, 32, 32), classes=10)
    arch = space.sample(np.random.default_rng(0))
    module = build(space.network(arch), space.input).eval()
    found = layers(space, arch)
    run = []
    for one in module.modules():
        if type(one).__module__.startswith("torch.nn") and not list(one.children()):
            one.register_forward_hook(lambda m, x, y: run.append(type(m).__name__))
    with torch.no_grad():
        module(torch.zeros(1, 3, 32, 32))
    inside = 2 + 1 + 1 + 1  # a squeeze-and-excitation is one layer here, and five modules
    ours = {kind.removeprefix("nn."): n for kind, n in _kinds(found).items()}
    gates = ours.pop("SqueezeExcitation", 0)
    ours.pop("Add", None)
    assert sum(ours.values()) + inside * gates == len(run)
    assert {k: run.count(k) for k in ("Conv2d", "BatchNorm2d")} == {
        "Conv2d": ours["Conv2d"] + 2 * gates,
        "BatchNorm2d": ours["BatchNorm2d"],
    }


def _kinds(found):
    made = {}
    for layer, times in found.items():
        made[layer.kind] = made.get(layer.kind, 0) + times
    return made


def test_what_glues_modules_is_a_layer_and_a_sum_of_one_value_is_none():
    part = ConvNormAct(4)
    flat = graph(Chain.of(sum=Sum.of(a=part, b=part, c=Identity()), cat=Concat.of(a=part, b=Identity())), (4, 8, 8))
    assert _kinds(of_graph(flat)) == {"nn.Conv2d": 3, "nn.BatchNorm2d": 3, "nn.ReLU": 3, "Add": 1, "Join": 1}
    alone = graph(Sum.of(a=part, b=Zero()), (4, 8, 8))
    assert "Add" not in _kinds(of_graph(alone))


def test_layers_of_one_key_have_one_class_arguments_and_input():
    found = walk(tiny())
    assert found.by == "random"
    assert len({(layer.kind, layer.call, layer.shape) for layer in found.layers.values()}) == len(found.layers)
    assert "nn.Conv2d(1, 4, 3, padding=1, bias=False) 1x8x8" in found.layers


def test_every_layer_of_a_space_is_found():
    for space in (tiny(), plugins.space("mobile", input=(3, 32, 32), classes=10)):
        known, rng = walk(space).layers, np.random.default_rng(99)
        for _ in range(150):
            assert {layer.key for layer in layers(space, space.sample(rng))} <= known.keys()


def test_a_small_space_is_walked_whole():
    root = Chain.of(a=ConvNormAct(Choice("width", (4, 8))), b=ConvNormAct(Choice("out", (2, 3, 5))))
    found = walk(Space("small", root, (1, 8, 8)))
    assert (found.by, found.architectures) == ("all", 6)
    assert len([k for k in found.layers if k.startswith("nn.Conv2d")]) == 2 + 6


def test_a_table_is_near_whole_networks(measured):
    space = tiny()
    table = Table(space, read(measured))
    assert table.correction.networks == 4
    assert table.correction.error < 0.5
    arch = spread(space, 3, seed=7)[1]
    assert 0.3 < table(arch) / latency(build(space.network(arch), space.input), space.input, CPU) < 3
    assert table.predict([arch, arch]) == pytest.approx([table(arch)] * 2)
    assert table.metrics(graph(space.network(arch), space.input)) == {"latency_s": table(arch)}
    assert not table.unknown


def test_a_corrected_sum_is_the_line_through_whole_networks():
    sums = np.array([1.0, 2.0, 3.0, 5.0, 8.0])
    found = Correction.fit(sums, 0.5 + 1.25 * sums)
    assert (found.slope, found.offset, found.error) == pytest.approx((1.25, 0.5, 0.0), abs=1e-12)
    spoilt = 0.5 + 1.25 * sums
    spoilt[2] *= 4
    assert Correction.fit(sums, spoilt).slope == pytest.approx(1.25, abs=0.2)
    assert Correction.fit(sums, 9 - sums) == Correction(
        *(pytest.approx(v) for v in (np.median((9 - sums) / sums), 0.0)),
        5,
        *(pytest.approx(v) for v in _errors(sums, 9 - sums)),
    )
    nothing = Correction.fit(sums[:2], sums[:2])
    assert (nothing.slope, nothing.offset) == (1.0, 0.0)
    assert math.isnan(nothing.error)


def _errors(sums, seconds):
    """The errors of the median ratio, each left out in turn; and of the sum itself."""
    ratios = seconds / sums
    left_out = [abs(np.median(np.delete(ratios, k)) * sums[k] / seconds[k] - 1) for k in range(len(sums))]
    return np.mean(left_out), np.mean(np.abs(sums / seconds - 1))


def test_measuring_goes_on_where_it_was_stopped(tmp_path):
    space, file, done = tiny(), tmp_path / "d.json", []

    def stop(what, at, of, left):
        done.append(at)
        if at == 9:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        take(space, CPU, file, networks=3, say=stop)
    held = json.loads(file.read_text())["layers"]
    assert len(held) == 9
    told = []
    found = take(space, CPU, file, networks=3, say=lambda what, at, of, left: told.append((what, of)))
    assert ("layers", len(found.layers) - 9) in told
    made = json.loads(file.read_text())
    assert made["layers"][:9] == held
    assert len(made["networks"]) == 3
    with pytest.raises(UserError, match="its batch is 1 there, 2 here; give another --out"):
        take(space, CPU, file, batch=2)


def test_a_layer_that_raises_ends_no_table():
    made = {"threads": 1, "batch": 1}
    fails = Asked("bad", lambda: nn.Linear(3, 3), (4,), {"kind": "nn.Linear"})
    works = Asked("good", nn.ReLU, (4,), {"kind": "nn.ReLU"})
    Session(made, CPU, lambda held: None, lambda *said: None).layers([fails, works])
    assert [row["seconds"] is None for row in made["layers"]] == [True, False]
    assert "RuntimeError" in made["layers"][0]["error"]


def test_a_layer_without_a_latency_is_named_and_estimated_from_its_kind(measured, tmp_path):
    rows = json.loads(measured.read_text())["layers"]
    gone = next(row for row in rows if row["key"].startswith("nn.Conv2d(8, 8, 3"))
    for bad in (None, math.nan, -1.0, "fast"):
        spoilt = [{**row, "seconds": bad} if row is gone else row for row in rows]
        table = Table(tiny(), read(changed(measured, tmp_path / "x.json", layers=spoilt)))
        arch = tiny().parse("|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|none~0|none~1|nor_conv_3x3~2|")
        assert table(arch) == pytest.approx(Table(tiny(), read(measured))(arch), rel=0.8)
        assert gone["key"] in table.unknown
        assert any(f"1 of {len(rows)} layers without a latency above 0" in note for note in table.notes())
        assert any(f"lacks 1 layers ({gone['key']})" in note for note in table.notes())


def test_an_estimate_is_exact_where_a_latency_is_a_sum_of_its_parts():
    known = [layer for layer in walk(tiny()).layers.values() if layer.kind == "nn.Conv2d"]
    like = [_held(layer, 1e-6 + 1e-9 * layer.macs + 3e-9 * layer.elements) for layer in known[1:]]
    first = known[0]
    assert estimate(like, first) == pytest.approx(1e-6 + 1e-9 * first.macs + 3e-9 * first.elements, rel=1e-6)


def _held(layer, seconds):
    return Known(seconds, layer.kind, layer.macs, layer.elements)


def test_latencies_in_other_units_are_read_in_theirs(measured, tmp_path):
    made = json.loads(measured.read_text())
    told = [{**row, "seconds": 1000 * row["seconds"]} for row in made["layers"]]
    there = read(changed(measured, tmp_path / "ms.json", unit="ms", layers=told, networks=[]))
    here = read(measured)
    assert {k: v.seconds for k, v in there.layers.items()} == pytest.approx(
        {k: v.seconds for k, v in here.layers.items()}
    )


BAD = [
    ({"unit": "minutes"}, "the latencies of x.json are in 'minutes'; give them in s, ms, us, ns"),
    ({"layers": {}}, "the layers of x.json are no list of objects"),
    ({"layers": []}, "no layer of x.json has a latency"),
    ({"format": 7}, "is of format 7"),
    ({"input": "3x8x8"}, "the input of x.json is '3x8x8'"),
    ({"input": [3, 8, 8]}, "x.json was measured for an input of 3,8,8, the space nasbench201 has 1,8,8; give --input"),
    ({"layers": [{"key": "odd", "seconds": 1.0}]}, "x.json knows none of the"),
]


@pytest.mark.parametrize(("fields", "words"), BAD, ids=[next(iter(f)) + f" {n}" for n, (f, _) in enumerate(BAD)])
def test_a_device_file_that_does_not_fit_is_refused_in_one_line(fields, words, measured, tmp_path, capsys):
    file = changed(measured, tmp_path / "x.json", **fields)
    code, out, err = typed(capsys, "latency", "nasbench201", *TINY, "--device-file", file)
    assert (code, out, len(err.strip().splitlines())) == (USAGE, "", 1)
    assert words in err


def test_a_file_that_is_none_is_refused(tmp_path):
    torn, listed, short = (tmp_path / name for name in ("torn.json", "listed.json", "short.json"))
    torn.write_text("{"), listed.write_text("[]"), short.write_text('{"device": "x"}')
    for file, words in ((torn, "is no JSON"), (listed, "holds list"), (short, "does not say its unit")):
        with pytest.raises(UserError, match=words):
            read(file)
    with pytest.raises(UserError, match="there is no device file nowhere.json"):
        read("nowhere.json")


def test_a_gpu_that_is_not_there_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match="this machine shows no GPU; give cpu") as error:
        device("cuda")
    assert error.value.code == ENVIRONMENT
    code, _, err = typed(capsys, "latency", "nasbench201", *TINY, "--on", "cuda")
    assert (code, len(err.strip().splitlines())) == (ENVIRONMENT, 1)


def test_the_script_measures_where_nas_cannot_be_imported(tmp_path, measured):
    space, folder = tiny(), tmp_path / "there"
    assert script(space, folder, networks=3) == len(walk(space).layers)
    ban = folder / "nas.py"
    ban.write_text("raise ImportError('nas was imported')\n")
    plain = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"}
    alone = [sys.executable, "measure.py", "--batch", "2"]
    done = subprocess.run(alone, cwd=folder, env=plain, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    there = read(folder / "device.json")
    assert there.batch == 2
    assert there.layers.keys() == read(measured).layers.keys()
    assert not there.notes
    assert Table(space, there).correction.networks == 3
    with pytest.raises(UserError, match="was not written by this command"):
        script(space, measured.parent)


def test_a_device_file_judges_the_latency_limit_before_anything_trains(measured):
    space = tiny()
    table = Table(space, read(measured))
    archs = [space.sample(np.random.default_rng(n)) for n in range(20)]
    middle = float(np.median(table.predict(archs)))
    problem = Problem(space, constraints=(at_most("latency_s", middle),), expect=table.metrics)
    slow = [a for a in archs if table(a) > middle]
    assert all("latency_s" in problem.screen(a).broken for a in slow)
    assert not any("latency_s" in problem.screen(a).broken for a in archs if a not in slow)


def test_settings_of_a_search_hold_the_device_file_and_leave_nothing_to_measure(measured, tmp_path):
    file = changed(measured, tmp_path / "mine.json")
    asked = {"space": "nasbench201", "space_settings": {"cells": 1, "channels": 4}, "data": "digits"}
    settings = settle(**asked, limits=(limit("latency=5ms"),), device_file=str(file))
    space = settings.made_space
    arch = space.sample(np.random.default_rng(0))
    seen = settings.problem.screen(arch)
    assert seen.metrics["latency_s"] == Table(space, read(file))(arch)
    assert settings.measured == ()
    plain = settle(**asked, limits=(limit("latency=5ms"),))
    assert [c.metric for c in plain.measured] == ["latency_s"]
    assert "latency_s" not in plain.problem.screen(arch).metrics
    assert settings.hash != plain.hash
    again = Settings.from_json(json.loads(json.dumps(settings.json())))
    assert again.hash == settings.hash
    changed(measured, file, date="another day")
    with pytest.raises(UserError, match="has changed since the run began"):
        _ = again.problem


def test_a_device_file_without_a_limit_is_refused(measured, capsys, tmp_path):
    code, _, err = typed(capsys, *SEARCH, "--device-file", measured, "--out", tmp_path / "run")
    assert code == USAGE
    assert "a device file predicts latencies, and none is limited; add --max latency=5ms" in err
