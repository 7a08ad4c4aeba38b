"""The operations that spaces are made of: primitives (a torch module each) and small composites of them."""

from __future__ import annotations

from search_spaces.ops.conv import Conv, ConvNormAct, Linear, ReluConvNorm
from search_spaces.ops.norm import Act, Dropout, Norm
from search_spaces.ops.pool import AvgPool, Classifier, Flatten, GlobalPool, MaxPool
from search_spaces.ops.residual import MBConv, SqueezeExcite

__all__ = [
    "Act",
    "AvgPool",
    "Classifier",
    "Conv",
    "ConvNormAct",
    "Dropout",
    "Flatten",
    "GlobalPool",
    "Linear",
    "MBConv",
    "MaxPool",
    "Norm",
    "ReluConvNorm",
    "SqueezeExcite",
]
