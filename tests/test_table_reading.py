"""Tables read from files: what is wrong with one is said in one line, and the published ones are what they say."""

import json
import time
from itertools import product

import numpy as np
import pandas as pd
import pytest

from nas.bench.reading import Columns, read_table
from nas.errors import UserError
from search_spaces import accel_nasbench, nasbench201, nasbench_macro, nats_size, ofa
from search_spaces.ofa import RESOLUTIONS

MACRO, TINY = nasbench_macro(), nasbench_macro(depths=(2, 2))
DIGITS = ["00000" + "".join(digits) for digits in product("012", repeat=3)]


def frame(rows=None, **columns):
    rows = DIGITS if rows is None else rows
    numbers = {"val": np.linspace(50, 60, len(rows)), "test": np.linspace(40, 50, len(rows))}
    return pd.DataFrame({"arch": rows, **numbers, **columns})


def read(tmp_path, made, columns=None, space=MACRO, suffix="csv"):
    path = tmp_path / f"mine.{suffix}"
    made.to_csv(path, index=False) if suffix == "csv" else made.to_parquet(path)
    return read_table(path, space, columns or Columns("val", "test"))


def refused(what, call, *args):
    with pytest.raises(UserError, match=what) as error:
        call(*args)
    assert "\n" not in str(error.value)
    return error.value


# what is read


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_users_file_is_a_table(tmp_path, suffix):
    table = read(tmp_path, frame(), suffix=suffix)
    assert (table.name, table.search, table.report, table.seconds) == ("mine", "val", "test", None)
    assert [MACRO.spell(arch) for arch in table.archs] == DIGITS, "leading zeros belong to an architecture"
    assert np.allclose(table.columns["val"], np.linspace(50, 60, len(DIGITS)), atol=1e-12)
    assert table.best == 50


def test_columns_have_the_names_that_are_given(tmp_path):
    made = frame().rename(columns={"arch": "cell", "val": "a"}).assign(s=range(1, len(DIGITS) + 1), word="x")
    table = read(tmp_path, made, Columns("a", arch="cell", time="s", fidelities={12: "a", 200: "test"}, costs=("s",)))
    assert table.report == "a"
    assert table.seconds.tolist() == list(range(1, len(DIGITS) + 1))
    assert (table.costs, table.column(200), "word" in table.columns) == (("s",), "test", False)


def test_a_users_own_file_of_nats_sizes_is_read(tmp_path):
    texts = ["8:16:32:64:64", "64:64:56:64:24", *(f"8:8:8:{k}:8" for k in range(8, 72, 8))]
    table = read(tmp_path, frame(texts), space=nats_size())
    assert [table.space.spell(arch) for arch in table.archs] == texts
    assert table.archs[0]["layer3.channels"] == 32


def test_15625_cells_are_parsed_in_a_second():
    space = nasbench201()
    texts = [space.spell(arch) for arch in space]
    began = time.process_time()
    assert len({space.parse(text) for text in texts}) == 15_625
    assert time.process_time() - began < 1


# rows that are missing, twice, or without a number


def test_rows_without_a_number_that_is_needed_are_left_out_and_counted(tmp_path):
    made = frame(other=np.nan)
    made.loc[[2, 5], "val"] = np.nan
    made.loc[3, "test"] = np.inf
    table = read(tmp_path, made)
    assert len(table.archs) == len(DIGITS) - 3
    assert "2 rows have no val, left out; the first is row 3" in table.notes
    assert "1 row has no test, left out; the first is row 4" in table.notes
    assert all(np.isfinite(table.columns[c]).all() for c in ("val", "test"))


def test_a_column_without_any_number_is_refused(tmp_path):
    refused("the column val of mine.csv has no number", read, tmp_path, frame(val=np.nan))


def test_rows_of_one_architecture_are_merged(tmp_path):
    made = frame()
    twice, other = made.iloc[[0, 1, 4]], made.iloc[[4]].assign(val=0.0)
    table = read(tmp_path, pd.concat([made, twice, other]))
    assert len(table.archs) == len(DIGITS)
    assert "of 2 architectures there are several rows with the same numbers, taken once" in table.notes
    assert "of 1 architectures there are several rows with different numbers, of which the mean" in table.notes
    assert table.columns["val"][1] == made["val"][1]
    assert table.columns["val"][4] == pytest.approx(2 * made["val"][4] / 3)


def test_a_row_that_is_left_out_is_no_part_of_a_mean(tmp_path):
    made = frame()
    table = read(tmp_path, pd.concat([made, made.iloc[[0]].assign(val=np.nan)]))
    assert table.columns["val"][0] == made["val"][0]
    assert not [note for note in table.notes if "several" in note]


def test_an_architecture_without_a_row_is_infeasible(tmp_path):
    texts = ["".join(digits) for digits in product("012", repeat=4) if digits[1] != "2"]
    table = read(tmp_path, frame(texts), space=TINY)
    assert "54 of 81 architectures have rows" in " ".join(table.notes)
    assert table.space.members is None
    assert table.problem().screen(TINY.parse("0200")).broken == "the table has no such row"
    assert table.problem().screen(TINY.parse("0100")).broken == ""


def test_the_rows_of_a_sparse_table_are_the_only_members(tmp_path):
    table = read(tmp_path, frame())
    assert f"the {len(DIGITS)} rows are the only members of the space" in table.notes
    assert (table.space.size, set(table.space)) == (len(DIGITS), set(table.archs))
    rng = np.random.default_rng(0)
    assert {table.space.mutate(table.archs[k], rng) for k in range(9)} <= set(table.archs)


def test_a_full_table_has_no_notes(tmp_path):
    assert read(tmp_path, frame(["".join(digits) for digits in product("012", repeat=4)]), space=TINY).notes == ()


# what is refused


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "none.txt").write_text("arch,val\n")
    (tmp_path / "empty.csv").write_text("")
    (tmp_path / "half.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "bytes.csv").write_bytes(b"arch,val\n\xff\xfe\x00,1\n")
    (tmp_path / "folder.csv").mkdir()
    for name, what in (
        ("lost.csv", "there is no table .*lost.csv; give the path"),
        ("folder.csv", "there is no table"),
        ("none.txt", "none.txt is no .parquet and no .csv file"),
        ("empty.csv", "empty.csv cannot be read: No columns"),
        ("half.parquet", "half.parquet cannot be read"),
        ("bytes.csv", "bytes.csv cannot be read"),
    ):
        refused(what, read_table, tmp_path / name, MACRO, Columns("val"))


@pytest.mark.parametrize(
    ("columns", "what"),
    [
        (Columns("vall", "test"), "no column of mine.csv is called 'vall'; did you mean val?"),
        (Columns("val", "tset"), "'tset'; did you mean test?"),
        (Columns("val", arch="cell"), "no column of mine.csv is called 'cell'; there are: arch, test, val"),
        (Columns("val", time="tests"), "'tests'; did you mean test?"),
        (Columns("val", costs=("latency",)), "'latency'"),
    ],
)
def test_a_column_that_is_not_there_offers_the_nearest(tmp_path, columns, what):
    refused(what, read, tmp_path, frame(), columns)


def test_a_word_among_numbers_is_named_with_its_row(tmp_path):
    made = frame().astype({"val": object})
    made.loc[6, "val"] = "93.1%"
    refused("the column val of mine.csv holds '93.1%' in row 7; it needs numbers alone", read, tmp_path, made)


def test_architectures_that_the_space_does_not_know_are_counted_and_three_are_named(tmp_path):
    bad = ["|none~0|", "12345678", "", "0000"]
    what = (
        r"4 of 31 architectures of mine.csv are none of nasbench_macro: '\|none~0\|', '12345678', '', ...; "
        r"take another space or column of architectures \('\|none~0\|' is no network of nasbench_macro; "
    )
    refused(what, read, tmp_path, frame(DIGITS + bad))


def test_too_few_rows_are_refused(tmp_path):
    refused("mine.csv has 9 architectures; a search needs 10", read, tmp_path, frame().iloc[:9])
    refused("mine.csv has 9 architectures", read, tmp_path, pd.concat([frame().iloc[:9]] * 2))
    assert len(read(tmp_path, frame().iloc[:10]).archs) == 10


def test_seconds_are_above_zero(tmp_path):
    made = frame(s=[0.0, *range(1, len(DIGITS))])
    refused("the column s of mine.csv is not above 0; it holds seconds", read, tmp_path, made, Columns("val", time="s"))


# how once-for-all and accel-nasbench are spelled


def test_a_sub_network_of_once_for_all_counts_only_the_blocks_that_are_open():
    space, lists = ofa(), {"ks": [3, 5, 7, 3] * 5, "e": [3, 4, 6, 6] * 5, "d": [2, 3, 4, 2, 2]}
    arch = space.parse(json.dumps({"wid": None, **lists, "r": [224]}))
    assert len(arch.choices) == 5 + 2 * (2 + 3 + 4 + 2 + 2)
    assert (arch["unit1.block2.kernel"], arch["unit3.block4.expand"]) == (5, 6)
    other = {**lists, "ks": [3, 5, 3, 7] * 2 + lists["ks"][8:]}
    other["ks"][6] = 7
    assert space.parse(json.dumps(other)) == arch
    assert json.loads(space.spell(arch))["ks"] == [3, 5, 3, 3, 3, 5, 7, 3, 3, 5, 7, 3, 3, 5, 3, 3, 3, 5, 3, 3]
    side = ofa(resolutions=RESOLUTIONS).parse(json.dumps({**lists, "r": 132}))
    assert side["resolution"] == 132
    proxy = ofa(macro="proxyless").parse(json.dumps({**lists, "ks": [*lists["ks"], 7], "e": [*lists["e"], 4]}))
    assert proxy["unit6.block1.kernel"] == 7


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("{}", "one is JSON of 20 kernels ks, 20 expansions e, 5 depths d and the side r"),
        ("ks", "is no sub-network of ofa"),
        (json.dumps({"ks": [3] * 20, "e": [3] * 19, "d": [2] * 5}), "is no sub-network"),
        (json.dumps({"ks": [3] * 20, "e": ["3"] * 20, "d": [2] * 5}), "is no sub-network"),
        (
            json.dumps({"ks": [3] * 20, "e": [3] * 20, "d": [2] * 5, "r": [192]}),
            "images of side 192, the space for 224",
        ),
        (json.dumps({"ks": [4] * 20, "e": [3] * 20, "d": [2] * 5}), "'unit1.block1.kernel' has no option 4"),
    ],
)
def test_a_text_that_is_no_sub_network_is_refused(text, what):
    with pytest.raises((ValueError, KeyError), match=what):
        ofa().parse(text)


def test_accel_nasbench_is_spelled_as_published():
    space = accel_nasbench()
    text = "e6k3l1s0;e4k5l2s0;e6k3l3s0;e6k5l3s0;e6k5l2s0;e1k3l4s1;e1k3l2s0"
    arch = space.parse(text)
    assert (arch["block6.layers"], arch["block6.squeeze"], arch["block2.kernel"]) == (4, 1, 5)
    assert space.spell(arch) == text
    assert space.size == 36**6 * 48
    for bad in (text[:-9], text.replace("s", "z"), "", text + ";"):
        with pytest.raises(ValueError, match="is no network of accel_nasbench; one is 7 blocks"):
            space.parse(bad)
    with pytest.raises(KeyError, match="'block1.layers' has no option 4"):
        space.parse(text.replace("e6k3l1s0", "e6k3l4s0"))
