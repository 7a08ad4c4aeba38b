"""The blocks of multi-stage vision transformers: attention and perceptron, residual spatial reduction, patch head."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from nas.tree import Call, Chain, Concat, Cost, Float, Identity, Int, Node, Shape, Sum, TrainHead
from search_spaces.ops.attention import (
    PadFeatures,
    Perceptron,
    PositionEmbedding,
    SelfAttention,
    Tokens,
    TokenSlice,
    TokensToImage,
    tokens,
)
from search_spaces.ops.attention_modules import PatchClassifier
from search_spaces.ops.conv import Conv, Linear
from search_spaces.ops.norm import DropPath, LayerNorm
from search_spaces.ops.pool import AvgPool


@final
@dataclass(frozen=True)
class TransformerBlock(Node):
    """Attention and perceptron, each behind a norm and beside an identity (arXiv:2010.11929, equations 2 and 3).

    drop: the probability with which each of both is left out in training, None for no such layer.
    """

    heads: Int
    head_dim: int
    mlp: Int
    drop: Float = None

    def lower(self, shape: Shape) -> Node:
        drop = None if self.drop is None else DropPath(self.drop)
        attend = Chain.of(norm=LayerNorm(), attention=SelfAttention(self.heads, self.head_dim), drop=drop)
        think = Chain.of(norm=LayerNorm(), mlp=Perceptron(self.mlp), drop=drop)
        return Chain.of(
            attend=Sum.of(body=attend, skip=Identity()),
            think=Sum.of(body=think, skip=Identity()),
        )


@final
@dataclass(frozen=True)
class SpatialReduction(Node):
    """Residual spatial reduction (Liao et al. 2021, arXiv:2109.00642) of a class token and height x width patches.

    A quarter of the patches, `features` wide: (1 + height * width, D) to (1 + ceil(height / 2) * ceil(width / 2),
    features). The identity becomes a 2 x 2 mean of the patches, with zeros behind the features.
    """

    features: Int
    height: int
    width: int

    def lower(self, shape: Shape) -> Node:
        square = TokensToImage(self.height, self.width)
        patches = Chain.of(
            patches=TokenSlice(1),
            image=square,
            conv=Conv(self.features, 3, 2, bias=True),
            tokens=Tokens(),
            position=PositionEmbedding(),
        )
        mean = Chain.of(patches=TokenSlice(1), image=square, pool=AvgPool(2, 2), tokens=Tokens())
        token = Chain.of(token=TokenSlice(0, 1), linear=Linear(self.features))
        body = Chain.of(norm=LayerNorm(), parts=Concat.of(token=token, patches=patches))
        skip = Chain.of(parts=Concat.of(token=TokenSlice(0, 1), patches=mean), pad=PadFeatures(self.features))
        return Sum.of(body=body, skip=skip)


@final
@dataclass(frozen=True)
class PatchHead(Node):
    """A second classifier, over the mean of the patches, that training alone runs: (T, D) to (T, D).

    Its parameters are counted as in arXiv:2109.00642, its work is not: inference leaves it out.
    """

    classes: int

    def lower(self, shape: Shape) -> Node:
        return TrainHead(PatchLogits(self.classes), counted=True)


@final
@dataclass(frozen=True)
class PatchLogits(Node):
    """Classifies the mean of all tokens but the first: (T, D) to (classes,)."""

    classes: int

    def call(self, shape: Shape) -> Call:
        return Call.of(PatchClassifier, tokens(self, shape)[1], self.classes)

    def out(self, shape: Shape) -> Shape:
        return (self.classes,)

    def cost(self, shape: Shape) -> Cost:
        return Cost((shape[1] + 1) * self.classes)
