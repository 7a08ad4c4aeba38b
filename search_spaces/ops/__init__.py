"""The operations that spaces are made of: primitives (a torch module each) and small composites of them."""

from __future__ import annotations

from search_spaces.ops.conv import Conv, ConvNormAct, Depthwise, Linear, ReluConvNorm, SeparableConv
from search_spaces.ops.norm import Act, Dropout, DropPath, LayerNorm, Norm
from search_spaces.ops.pool import AvgPool, Classifier, Flatten, GlobalPool, MaxPool
from search_spaces.ops.residual import MBConv, SqueezeExcite

__all__ = [
    "Act",
    "AvgPool",
    "Classifier",
    "Conv",
    "ConvNormAct",
    "Depthwise",
    "DropPath",
    "Dropout",
    "Flatten",
    "GlobalPool",
    "LayerNorm",
    "Linear",
    "MBConv",
    "MaxPool",
    "Norm",
    "ReluConvNorm",
    "SeparableConv",
    "SqueezeExcite",
]
