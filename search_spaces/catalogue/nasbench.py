"""Networks of the tabular benchmarks: NAS-Bench-101, NAS-Bench-201, NATS-Bench (size) and NAS-Bench-Macro."""

from __future__ import annotations

from nas.paper import Published
from search_spaces.nasbench101 import nasbench101
from search_spaces.nasbench201 import nasbench201
from search_spaces.nasbench_macro import nasbench_macro
from search_spaces.nats_size import nats_size

CIFAR10 = {"input": [3, 32, 32], "classes": 10}
CIFAR100 = {"input": [3, 32, 32], "classes": 100}
YING = "Ying et al. 2019, arXiv:1902.09635"
DONG = "Dong and Yang 2020, arXiv:2001.00326"
NATS = "Dong et al. 2021, arXiv:2009.00437"

NETWORKS = (
    Published(
        "nasbench101-inception-like",
        nasbench101,
        CIFAR10,
        "0111010,0000001,0000001,0000100,0000001,0000001,0000000"
        " conv1x1-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,conv3x3-bn-relu,maxpool3x3",
        f"{YING}, its Inception-like module",
        "google-research/nasbench, README.md and nasbench/lib/model_builder.py",
    ),
    Published(
        "nasbench201-best-cifar10",
        nasbench201,
        CIFAR10,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|",
        f"{DONG}, number 6111 of the table, 94.37 % on the test images of CIFAR-10",
        "v-tao/nats-bench-landscape; D-X-Y/AutoDL-Projects, xautodl/models/cell_infers",
    ),
    Published(
        "nasbench201-best-cifar100",
        nasbench201,
        CIFAR100,
        "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|",
        f"{DONG}, number 9930 of the table, 73.51 % on the test images of CIFAR-100",
        "D-X-Y/AutoDL-Projects, exps/NATS-Bench/main-sss.py",
    ),
    Published(
        "nasbench201-resnet-like",
        nasbench201,
        CIFAR10,
        "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|",
        f"{DONG}, its ResNet baseline",
        "D-X-Y/AutoDL-Projects, xautodl/models/cell_searchs/genotypes.py",
    ),
    Published(
        "nats-size-best-cifar10",
        nats_size,
        CIFAR10,
        "64:64:56:64:24",
        f"{NATS}, 93.65 % on CIFAR-10, the best of the table with 64:64:56:64:64",
        "D-X-Y/AutoDL-Projects, xautodl/models/shape_infers/InferTinyCellNet.py;"
        " changlin31/BossNAS, ranking_nats/nats_cifar10_acc_rank.yml",
    ),
    Published(
        "nasbench-macro-best-cifar10",
        nasbench_macro,
        CIFAR10,
        "22212220",
        "Su et al. 2021, arXiv:2103.11922, 93.13 % on the test images of CIFAR-10",
        "xiusu/NAS-Bench-Macro, train/model.py and data/nas-bench-macro_cifar10.json",
    ),
)
"""The networks of this family."""
