"""The spaces of the tabular benchmarks, beyond the laws and the published counts."""

import pickle
from itertools import product
from math import comb
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from nas.problem import Problem
from nas.profile import profile
from search_spaces import nasbench101, nasbench_macro, nats_size
from search_spaces.nasbench101 import OPERATIONS, fingerprint, graph_of, pruned
from tests.references.family_nasbench import classes

TABLES = Path(__file__).parents[2] / "shared" / "benchmarks"
"""A folder with published tables: nb101/sample_1000.parquet and nas_bench_macro/cifar10.parquet."""
tables = pytest.mark.skipif(not TABLES.is_dir(), reason="the published tables are not in ../shared/benchmarks")
POOLS = ",".join(["maxpool3x3"] * 5)


@pytest.mark.parametrize(
    ("space", "text", "what"),
    [
        (nasbench101(), "010,001,000", "is no module of nasbench101; one is 7 rows as 0000001"),
        (nasbench101(), "010,001,100 conv3x3-bn-relu", "is no module"),
        (nasbench101(), "010,001,000 conv5x5", "is no module"),
        (nasbench101(), f"0111111,0010011,0000001,0000001,0000000,0000000,0000000 {POOLS}", "at most 9 edges.* has 11"),
        (nats_size(), "8:8:8:8", "one is 5 numbers of channels"),
        (nats_size(), "8:8:8:8:9", "'layer5.channels' has no option 9"),
        (nasbench_macro(), "0123", "one is 8 digits 0, 1 or 2"),
        (nasbench_macro(), "00000003", "one is 8 digits"),
    ],
)
def test_a_spelling_that_is_none_is_refused(space, text, what):
    with pytest.raises((ValueError, KeyError), match=what):
        space.parse(text)


def test_too_few_channels_for_a_module_are_refused():
    with pytest.raises(ValueError, match="needs at least 5 channels, got 4"):
        nasbench101(channels=4)


def test_the_size_counts_matrices_of_at_most_nine_edges():
    assert nasbench101().size == 3**5 * sum(comb(21, k) for k in range(10))


def test_no_module_has_more_edges_than_allowed():
    space, rng = nasbench101(), np.random.default_rng(0)
    archs = [space.sample(rng) for _ in range(100)]
    archs += [space.mutate(arch, rng) for arch in archs] + [space.cross(*archs[k : k + 2], rng) for k in range(50)]
    counts = [sum(map(sum, graph_of(arch)[0])) for arch in archs]
    assert max(counts) == 9
    assert min(counts) < 9


def test_a_small_module_is_the_large_one_with_vertices_that_are_not_used():
    space = nasbench101((1, 8, 8), 3, channels=8, modules=1)
    small = space.parse("0110,0010,0001,0000 conv3x3-bn-relu,maxpool3x3")
    large = space.parse(
        "0010100,0000010,0000100,0000010,0000001,0000000,0000000 "
        "conv1x1-bn-relu,conv3x3-bn-relu,conv1x1-bn-relu,maxpool3x3,conv1x1-bn-relu"
    )
    assert small != large
    assert space.same(small) == space.same(large)
    assert profile(space.network(small), space.input).total == profile(space.network(large), space.input).total
    assert pruned(*graph_of(large)) == (
        ((0, 1, 1, 0), (0, 0, 1, 0), (0, 0, 0, 1), (0, 0, 0, 0)),
        ("conv3x3", "maxpool3x3"),
    )


def test_a_module_without_a_path_is_infeasible():
    space = nasbench101((3, 8, 8), 10, channels=8)
    arch = space.parse(f"0100000,0000000,0000001,0000000,0000000,0000000,0000000 {POOLS}")
    assert Problem(space).screen(arch).broken == "no path from input to output"
    assert space.same(arch) == "no path"


def test_what_feeds_a_narrower_vertex_is_cut():
    space = nasbench101((3, 8, 8), 10, channels=8, stacks=1, modules=1)
    arch = space.parse("01000,00110,00001,00001,00000 conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu")
    odd = nasbench101((3, 8, 8), 10, channels=9, stacks=1, modules=1)
    for one, widths in ((space, []), (odd, ["stack1.0.vertex3.inputs.from1"])):
        layers = profile(one.network(arch), one.input).layers
        assert [layer.name for layer in layers if layer.op == "Channels"] == widths


def test_identities_of_a_stage_may_change_places():
    space = nasbench_macro()
    one, other, not_it = (space.parse(text) for text in ("10201120", "10210120", "10021120"))
    assert space.same(one) == "10210120" == space.same(other)
    assert space.same(not_it) != space.same(one)


def test_the_spaces_travel():
    for space in (nasbench101(), nasbench_macro(), nats_size()):
        other = pickle.loads(pickle.dumps(space))
        arch = space.sample(np.random.default_rng(3))
        assert other.network(arch) == space.network(arch)
        assert other.spell(arch) == space.spell(arch)


@pytest.mark.slow
def test_the_fingerprint_tells_423624_modules_apart():
    names = set()
    for vertices in range(2, 8):
        for bits, pairs, _ in classes(vertices, 9):
            given = {pair for pair, bit in zip(pairs, bits, strict=True) if bit}
            matrix = tuple(tuple(int((u, v) in given) for v in range(vertices)) for u in range(vertices))
            names.update(fingerprint(matrix, ops) for ops in product(OPERATIONS, repeat=vertices - 2))
    assert len(names) == 423_624


@tables
def test_a_thousand_published_modules_have_their_params_and_fingerprints():
    space = nasbench101()
    for row in pd.read_parquet(TABLES / "nb101" / "sample_1000.parquet").itertuples():
        rows = row.adjacency.replace(" ", "").strip("[]").replace("],[", ";").replace(",", "").replace(";", ",")
        arch = space.parse(f"{rows} {','.join(row.ops.split(',')[1:-1])}")
        assert space.same(arch) == row.hash
        assert profile(space.network(arch), space.input).total.params == row.params, row.hash


@tables
def test_all_published_macro_networks_have_their_counts():
    space = nasbench_macro()
    costs = {}
    for k, digit in product(range(8), "012"):
        text = "0" * k + digit + "0" * (7 - k)
        costs[k, digit] = profile(space.network(space.parse(text)), space.input).total
    for row in pd.read_parquet(TABLES / "nas_bench_macro" / "cifar10.parquet").itertuples():
        parts = [costs[k, digit] for k, digit in enumerate(row.arch)]
        assert sum(c.params for c in parts) - 7 * costs[0, "0"].params == row.params, row.arch
        assert sum(c.macs for c in parts) - 7 * costs[0, "0"].macs == row.flops, row.arch
