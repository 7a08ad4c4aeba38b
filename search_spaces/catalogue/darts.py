"""The networks of DARTS (Liu et al. 2019, arXiv:1806.09055) and of those who searched the same cells by other ways."""

from __future__ import annotations

from nas.paper import Published
from search_spaces.darts import darts

DARTS_V1 = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('skip_connect', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('skip_connect', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 0), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('avg_pool_3x3', 0)], reduce_concat=[2, 3, 4, 5])"
)
DARTS_V2 = (
    "Genotype(normal=[('sep_conv_3x3', 0), ('sep_conv_3x3', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('skip_connect', 0), ('skip_connect', 0), ('dil_conv_3x3', 2)], normal_concat=[2, 3, 4, 5], "
    "reduce=[('max_pool_3x3', 0), ('max_pool_3x3', 1), ('skip_connect', 2), ('max_pool_3x3', 1), "
    "('max_pool_3x3', 0), ('skip_connect', 2), ('skip_connect', 2), ('max_pool_3x3', 1)], reduce_concat=[2, 3, 4, 5])"
)
PC_CIFAR = (
    "Genotype(normal=[('sep_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 0), ('dil_conv_3x3', 1), "
    "('sep_conv_5x5', 0), ('sep_conv_3x3', 1), ('avg_pool_3x3', 0), ('dil_conv_3x3', 1)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_5x5', 1), ('max_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_5x5', 2), "
    "('sep_conv_3x3', 0), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('sep_conv_3x3', 2)], reduce_concat=range(2, 6))"
)
PC_IMAGE = (
    "Genotype(normal=[('skip_connect', 1), ('sep_conv_3x3', 0), ('sep_conv_3x3', 0), ('skip_connect', 1), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 1), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), "
    "reduce=[('sep_conv_3x3', 0), ('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 1), "
    "('sep_conv_3x3', 2), ('sep_conv_3x3', 1), ('sep_conv_5x5', 0), ('sep_conv_3x3', 3)], reduce_concat=range(2, 6))"
)
P_DARTS = (
    "Genotype(normal=[('skip_connect', 0), ('dil_conv_3x3', 1), ('skip_connect', 0), ('sep_conv_3x3', 1), "
    "('sep_conv_3x3', 1), ('sep_conv_3x3', 3), ('sep_conv_3x3', 0), ('dil_conv_5x5', 4)], normal_concat=range(2, 6), "
    "reduce=[('avg_pool_3x3', 0), ('sep_conv_5x5', 1), ('sep_conv_3x3', 0), ('dil_conv_5x5', 2), "
    "('max_pool_3x3', 0), ('dil_conv_3x3', 1), ('dil_conv_3x3', 1), ('dil_conv_5x5', 3)], reduce_concat=range(2, 6))"
)

CIFAR = {"input": (3, 32, 32), "classes": 10, "layers": 20, "channels": 36, "auxiliary": True, "drop_path": 0.2}
"""The network that is trained on CIFAR-10 (DARTS, section 3.2 and appendix A.2)."""
IMAGENET = {
    "input": (3, 224, 224),
    "classes": 1000,
    "layers": 14,
    "channels": 48,
    "stem": "imagenet",
    "auxiliary": True,
}
"""The network that is trained on ImageNet, without dropped paths (the defaults of cnn/train_imagenet.py)."""

DARTS = "Liu et al. 2019, arXiv:1806.09055"
DARTS_CODE = "quark0/darts f276dd3, cnn/genotypes.py, cnn/model.py"
PC = "Xu et al. 2020, arXiv:1907.05737"
PC_CODE = "yuhuixu1993/PC-DARTS, genotypes.py, model.py"
P = "Chen et al. 2019, arXiv:1904.12760"
P_CODE = "chenxin061/pdarts, genotypes.py, train_cifar.py"

NETWORKS: tuple[Published, ...] = (
    Published("darts-v1-cifar", darts, CIFAR, DARTS_V1, f"{DARTS}, table 1, first order", DARTS_CODE),
    Published("darts-v1-imagenet", darts, IMAGENET, DARTS_V1, f"{DARTS}, first order", DARTS_CODE),
    Published("darts-v2-cifar", darts, CIFAR, DARTS_V2, f"{DARTS}, table 1, second order", DARTS_CODE),
    Published("darts-v2-imagenet", darts, IMAGENET, DARTS_V2, f"{DARTS}, table 3", DARTS_CODE),
    Published("pc-darts-cifar", darts, CIFAR, PC_CIFAR, f"{PC}, table 1", PC_CODE),
    Published("pc-darts-cifar-imagenet", darts, IMAGENET, PC_CIFAR, f"{PC}, table 2, found on CIFAR-10", PC_CODE),
    Published("pc-darts-image-cifar", darts, CIFAR, PC_IMAGE, f"{PC}, the cell of table 2 at table 1's size", PC_CODE),
    Published("pc-darts-imagenet", darts, IMAGENET, PC_IMAGE, f"{PC}, table 2, found on ImageNet", PC_CODE),
    Published("p-darts-cifar", darts, {**CIFAR, "drop_path": 0.3}, P_DARTS, f"{P}, table 1, found on CIFAR-10", P_CODE),
)
