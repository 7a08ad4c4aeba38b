"""NASNet-A, PNASNet-5, AmoebaNet-A and the cells of ENAS."""

from __future__ import annotations

from nas.paper import Published
from search_spaces.enas import enas
from search_spaces.nasnet import nasnet
from search_spaces.pnasnet import pnasnet

NASNET_A = (
    "sep_5x5@0+sep_3x3@1 sep_5x5@1+sep_3x3@1 avg_3x3@0+identity@1 avg_3x3@1+avg_3x3@1 sep_3x3@0+identity@0 "
    "=1,2,3,4,5,6 / "
    "sep_5x5@0+sep_7x7@1 max_3x3@0+sep_7x7@1 avg_3x3@0+sep_5x5@1 identity@3+avg_3x3@2 sep_3x3@2+max_3x3@0 =3,4,5,6"
)
AMOEBANET_A = (
    "avg_3x3@0+max_3x3@0 sep_3x3@1+identity@1 identity@0+avg_3x3@1 sep_3x3@0+sep_5x5@2 avg_3x3@5+sep_3x3@0 "
    "=1,3,4,6 / "
    "sep_3x3@1+avg_3x3@0 max_3x3@0+sep_7x7@2 max_3x3@1+max_3x3@0 sep_3x3@4+conv_1x7_7x1@0 avg_3x3@1+sep_7x7@0 "
    "=2,3,4,5,6"
)
PNASNET_5 = "sep_5x5@1+max_3x3@1 sep_7x7@0+max_3x3@0 sep_5x5@0+sep_3x3@0 sep_3x3@4+max_3x3@0 sep_3x3@1+identity@0"
ENAS = "0 2 0 0 0 4 0 1 0 4 1 1 1 0 0 1 0 2 1 1 1 0 1 0 0 3 0 2 1 1 3 1 1 0 0 4 0 3 1 1"

LARGE = {"input": (3, 331, 331), "classes": 1000, "stem": "imagenet", "dropout": 0.5}
MOBILE = {"input": (3, 224, 224), "classes": 1000, "stem": "imagenet", "stem_multiplier": 1.0, "dropout": 0.5}
CIFAR = {"input": (3, 32, 32), "classes": 10}

NASNET = "Zoph et al. 2018, arXiv:1707.07012, tables 1 and 2"
SLIM = "tensorflow/models, research/slim/nets/nasnet"
AMOEBANET = "Real et al. 2019, arXiv:1802.01548, tables 1 and 2"
TPU = "tensorflow/tpu, models/official/amoeba_net/model_specs.py, network_utils.py, model_builder.py"
PNASNET = "Liu et al. 2018, arXiv:1712.00559"
PNAS_CIFAR = f"{SLIM}/pnasnet.py, nasnet.py; chenxi116/PNASNet.pytorch, issue 1"

NETWORKS: tuple[Published, ...] = (
    Published(
        "nasnet-a-mobile",
        nasnet,
        {**MOBILE, "cells": 4, "filters": 44, "output": "listed", "auxiliary": True},
        NASNET_A,
        f"{NASNET}, 4 @ 1056",
        f"{SLIM}/nasnet.py, nasnet_utils.py",
    ),
    Published(
        "nasnet-a-large",
        nasnet,
        {
            **LARGE,
            "cells": 6,
            "filters": 168,
            "output": "listed",
            "skip_reduction": True,
            "drop_path": 0.3,
            "auxiliary": True,
        },
        NASNET_A,
        f"{NASNET}, 6 @ 4032",
        f"{SLIM}/nasnet.py, nasnet_utils.py",
    ),
    Published(
        "nasnet-a-cifar",
        nasnet,
        {**CIFAR, "cells": 6, "filters": 32, "output": "listed", "drop_path": 0.4, "auxiliary": True},
        NASNET_A,
        f"{NASNET}, 6 @ 768",
        f"{SLIM}/nasnet.py, nasnet_utils.py",
    ),
    Published(
        "amoebanet-a-large",
        nasnet,
        {**LARGE, "cells": 6, "filters": 190, "output": "listed", "stem_multiplier": 1.0},
        AMOEBANET_A,
        f"{AMOEBANET}, N = 6, F = 190",
        TPU,
    ),
    Published(
        "amoebanet-a-cifar",
        nasnet,
        {**CIFAR, "cells": 6, "filters": 36, "output": "listed"},
        AMOEBANET_A,
        f"{AMOEBANET}, N = 6, F = 36",
        TPU,
    ),
    Published(
        "pnasnet-5-large",
        pnasnet,
        {**LARGE, "cells": 4, "filters": 216, "drop_path": 0.4, "auxiliary": True},
        PNASNET_5,
        PNASNET,
        f"{SLIM}/pnasnet.py",
    ),
    Published(
        "pnasnet-5-mobile",
        pnasnet,
        {**MOBILE, "cells": 3, "filters": 54, "auxiliary": True},
        PNASNET_5,
        PNASNET,
        f"{SLIM}/pnasnet.py",
    ),
    Published("pnasnet-5-cifar", pnasnet, {**CIFAR, "cells": 3, "filters": 48}, PNASNET_5, PNASNET, PNAS_CIFAR),
    Published(
        "enas-micro-cifar",
        enas,
        {**CIFAR, "cells": 5, "filters": 36, "drop_path": 0.4, "dropout": 0.2, "auxiliary": True},
        ENAS,
        "Pham et al. 2018, arXiv:1802.03268, section 3.2",
        "melodyguan/enas, scripts/cifar10_micro_final.sh, src/cifar10/micro_child.py",
    ),
)
