"""The decisions of NAS-Bench-Graph: the authors' keys, which networks are equal, and what their table says."""

import json
import pickle
from itertools import product

import numpy as np
import pandas as pd
import pytest

from nas import plugins
from nas.bench.known import Known
from nas.bench.named import named
from nas.errors import UserError
from nas.problem import Problem
from search_spaces.nasbench_graph import LINKS, OPERATIONS, PROTEINS, key, nasbench_graph
from tests.test_space_nasbench import TABLES, tables

SPACE = nasbench_graph()
WAYS = list(product(*(range(k + 1) for k in range(4))))
ALL_SKIP = (8, 8, 8, 8)


def of(text):
    return SPACE.same(SPACE.parse(text))


def test_the_example_of_the_authors_has_their_key():
    assert of("0-1-2-1:gcn-gin-fc-cheb") == "61237"
    assert SPACE.spell(SPACE.parse("0-1-2-1:gcn-gin-fc-cheb")) == "0-1-1-2:gcn-gin-cheb-fc"


def test_the_other_form_of_the_example_is_another_network():
    assert of("0-1-1-2:gcn-cheb-gin-fc") == "61327"


def test_stacks_of_two_layers_have_the_authors_keys():
    keys = {"gcn": 88811, "gat": 88800, "gin": 88822, "cheb": 88833, "sage": 88844, "arma": 88855, "graph": 88866}
    for name, number in {**keys, "fc": 88877}.items():
        assert of(f"0-1-2-3:skip-skip-{name}-{name}") == str(number)


def test_a_skip_that_changes_nothing_may_stand_anywhere_in_a_chain():
    for ops in ("skip-gcn-skip-fc", "gcn-skip-fc-skip", "skip-skip-gcn-fc", "gcn-skip-skip-fc"):
        assert of(f"0-1-2-3:{ops}") == "88817"
    assert of("0-1-2-3:fc-skip-skip-gcn") == "88871"


def test_all_ways_to_link_and_fill_four_nodes_are_26206_networks():
    keys = {key(links, ops) for links in WAYS for ops in product(range(9), repeat=4) if ops != ALL_SKIP}
    assert len(WAYS) * 9**4 == 157_464
    assert len(keys) == 26_206
    decoded = [(tuple(map(int, LINKS[n // 10**4])), tuple(map(int, f"{n % 10**4:04}"))) for n in keys]
    assert all(key(*made) == n for made, n in zip(decoded, keys, strict=True)), "a key that is not its own network's"
    assert not keys & {key(links, ALL_SKIP) for links in WAYS}


def test_the_order_in_which_nodes_are_written_changes_no_key():
    rng = np.random.default_rng(0)
    for _ in range(300):
        links, ops = WAYS[rng.integers(24)], tuple(map(int, rng.integers(9, size=4)))
        order, placed = [], set()
        while len(order) < 4:  # a random order in which every node stands behind the one that it reads
            free = [k for k in range(4) if k not in placed and (links[k] == 0 or links[k] - 1 in placed)]
            order.append(free[rng.integers(len(free))])
            placed.add(order[-1])
        place = {0: 0, **{old + 1: new for new, old in enumerate(order, 1)}}
        assert key(tuple(place[links[k]] for k in order), tuple(ops[k] for k in order)) == key(links, ops)


def test_the_operations_of_proteins_make_2021_networks_under_the_same_keys():
    space = nasbench_graph(operations=PROTEINS)
    keys = {space.same(arch) for arch in space if set(arch.labels.values()) - set(LINKS) != {"skip"}}
    assert len(keys) == 2021
    assert space.same(space.parse("0-0-0-0:gcn-gcn-gcn-sage")) == "1114"
    with pytest.raises(KeyError, match="no option gat"):
        space.parse("0-0-0-0:gcn-gat-gcn-sage")


def test_the_space_decides_nine_patterns_and_four_operations():
    assert SPACE.size == 9 * 9**4
    assert list(SPACE.choices) == ["links", *(f"node{k}.operation" for k in (1, 2, 3, 4))]
    assert plugins.space("nasbench_graph", **json.loads(json.dumps(SPACE.settings))).root == SPACE.root
    assert pickle.loads(pickle.dumps(SPACE)).same(SPACE.parse("0-0-0-0:gat-gat-gat-gat")) == "0"


@pytest.mark.parametrize(
    "text",
    ["0-1-2-4:gcn-gcn-gcn-gcn", "0-1-2:gcn-gcn-gcn", "0-1-2-3:gcn-gcn-gcn-lstm", "0123:gcn-gcn-gcn-gcn", "", "x"],
)
def test_a_spelling_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="is no network of nasbench_graph; one is 0-1-2-2:fc-gat-gcn-graph"):
        SPACE.parse(text)


def test_an_unknown_operation_is_refused():
    with pytest.raises(ValueError, match="has no operation 'lstm'; there are gat, gcn"):
        nasbench_graph(operations=("gcn", "lstm"))


def test_its_networks_are_refused_in_one_line():
    from nas.build import build

    with pytest.raises(UserError, match="only a table knows its members; search it with `nas bench`") as error:
        build(SPACE.network(SPACE.parse("0-0-0-0:gat-gat-gat-gat")), SPACE.input)
    assert "\n" not in str(error.value)
    assert "no network" in Problem(SPACE).screen(SPACE.sample(np.random.default_rng(0))).broken


def test_an_equal_network_has_the_row_of_the_one_that_is_listed():
    listed = [SPACE.parse(f"0-1-2-3:skip-skip-{name}-{name}") for name in OPERATIONS[:-1]]
    known = Known({arch: n for n, arch in enumerate(listed)}, SPACE.same)
    other = SPACE.parse("0-1-2-3:gcn-skip-gcn-skip")
    assert other not in listed
    assert known[other] == known[listed[1]] == 1
    assert known.get(SPACE.parse("0-1-2-3:gcn-gcn-gcn-gcn")) is None
    assert Known(known.own).get(other) is None
    assert len(known) == len(listed)


@tables
def test_the_published_keys_are_ours():
    for file in ("cora_citeseer_photo_arxiv", "proteins"):
        frame = pd.read_parquet(TABLES / "nas_bench_graph" / f"{file}.parquet").iloc[::5]
        archs = [SPACE.parse(text) for text in frame["arch"]]
        assert [SPACE.same(arch) for arch in archs] == [str(n) for n in frame["hash"]]
        assert [SPACE.spell(arch) for arch in archs] == list(frame["arch"])


@tables
def test_the_table_knows_every_network_but_the_one_that_only_skips():
    table = named("graph-cora", TABLES)
    keys = {key(tuple(map(int, links)), ops) for links in LINKS for ops in product(range(9), repeat=4)}
    assert {int(SPACE.same(arch)) for arch in table.archs} == keys - {key((0, 1, 2, 3), ALL_SKIP)}
    skips = [SPACE.parse(f"{'-'.join(links)}:skip-skip-skip-skip") for links in LINKS]
    assert [arch in table.row for arch in skips] == [False] * len(LINKS)
    rng = np.random.default_rng(0)
    assert all(arch in table.row for arch in (SPACE.sample(rng) for _ in range(1000)) if arch not in skips)
    assert table.best == pytest.approx(0.8313, abs=5e-5)
    row = table.row[SPACE.parse("0-1-2-1:gcn-gin-fc-cheb")]
    assert [round(float(table.columns[c][row]), 5) for c in ("cora_val", "cora_test")] == [0.79, 0.80467]
    chosen = int(table.columns["cora_val"].argmax())
    assert SPACE.spell(table.archs[chosen]) == "0-1-2-3:fc-gat-fc-gin"
    assert table.columns["cora_test"][chosen] == pytest.approx(0.8263, abs=5e-5)
