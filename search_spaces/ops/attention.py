"""What transformers over images are made of: images as rows of tokens (T, D), self-attention, perceptron."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import final

from torch import nn

from nas.tree import Call, Chain, Cost, Dag, Int, Node, Shape, Str, Take
from search_spaces.ops.attention_modules import (
    AddPosition,
    FlattenImage,
    HeadMixing,
    PrependToken,
    TakeToken,
    TakeTokens,
    UnflattenTokens,
)
from search_spaces.ops.conv import Linear, image
from search_spaces.ops.norm import Act


@final
@dataclass(frozen=True)
class Tokens(Node):
    """An image as a row of tokens, one a pixel: (C, H, W) to (H * W, C)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(FlattenImage)

    def out(self, shape: Shape) -> Shape:
        c, h, w = image(self, shape)
        return h * w, c

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class TokensToImage(Node):
    """A row of tokens as an image: (height * width, C) to (C, height, width)."""

    height: int
    width: int

    def call(self, shape: Shape) -> Call:
        return Call.of(UnflattenTokens, self.height, self.width)

    def out(self, shape: Shape) -> Shape:
        if tokens(self, shape)[0] != self.height * self.width:
            raise ValueError(f"{shape[0]} tokens are no image of {self.height}x{self.width}")
        return shape[1], self.height, self.width

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class ClassToken(Node):
    """A learned token before the others: (T, D) to (1 + T, D)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(PrependToken, tokens(self, shape)[1])

    def out(self, shape: Shape) -> Shape:
        return shape[0] + 1, shape[1]

    def cost(self, shape: Shape) -> Cost:
        return Cost(shape[1])


@final
@dataclass(frozen=True)
class PositionEmbedding(Node):
    """A learned vector for each place, added to its token: (T, D) to (T, D)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(AddPosition, *tokens(self, shape))

    def out(self, shape: Shape) -> Shape:
        return shape

    def cost(self, shape: Shape) -> Cost:
        return Cost(prod(shape))


@final
@dataclass(frozen=True)
class TokenSlice(Node):
    """The tokens from `start` on, up to `stop` (None for all): (T, D) to (stop - start, D)."""

    start: int = 0
    stop: int | None = None

    def call(self, shape: Shape) -> Call:
        return Call.of(TakeTokens, self.start, self._stop(shape))

    def out(self, shape: Shape) -> Shape:
        return self._stop(shape) - self.start, shape[1]

    def cost(self, shape: Shape) -> Cost:
        return Cost()

    def _stop(self, shape: Shape) -> int:
        many: int = tokens(self, shape)[0]
        return many if self.stop is None else self.stop


@final
@dataclass(frozen=True)
class FirstToken(Node):
    """The first token, which stands for the whole image: (T, D) to (D,)."""

    def call(self, shape: Shape) -> Call:
        return Call.of(TakeToken)

    def out(self, shape: Shape) -> Shape:
        return (tokens(self, shape)[1],)

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class PadFeatures(Node):
    """Zeros behind the features of each token: (T, D) to (T, features)."""

    features: Int

    def call(self, shape: Shape) -> Call:
        return Call.of(nn.ZeroPad1d, (0, self.features - shape[1]))

    def out(self, shape: Shape) -> Shape:
        if tokens(self, shape)[1] > self.features:
            raise ValueError(f"{shape[1]} features cannot be padded to {self.features}")
        return shape[0], self.features

    def cost(self, shape: Shape) -> Cost:
        return Cost()


@final
@dataclass(frozen=True)
class MixHeads(Node):
    """Scaled dot-product attention of queries, keys and values (T, D), in heads of equal width (arXiv:1706.03762, 3.2).

    Its multiply-accumulates are those of two products, queries by keys and weights by values: 2 T^2 D.
    """

    heads: Int = 1

    def call(self, shape: Shape) -> Call:
        return Call.of(HeadMixing, self.heads)

    def out(self, shape: Shape) -> Shape:
        if len(set(shape)) != 1 or len(shape) != 3 or tokens(self, shape[0])[1] % self.heads:
            raise ValueError(f"MixHeads needs three equal values (T, D) for {self.heads} heads, got {shape}")
        return shape[0]  # type: ignore[no-any-return]  # one of three shapes

    def cost(self, shape: Shape) -> Cost:
        many, features = shape[0]
        return Cost(0, 2 * many * many * features)


@final
@dataclass(frozen=True)
class SelfAttention(Node):
    """Multi-head self-attention (Vaswani et al. 2017, arXiv:1706.03762, 3.2.2): (T, D) to (T, D).

    Query, key and value are three layers, so that fewer heads are a slice of more.
    """

    heads: Int
    head_dim: int = 64

    def lower(self, shape: Shape) -> Node:
        width = self.heads * self.head_dim
        return Dag.of(
            query=Take(0, Linear(width)),
            key=Take(0, Linear(width)),
            value=Take(0, Linear(width)),
            mix=Take((1, 2, 3), MixHeads(self.heads)),
            project=Take(4, Linear(tokens(self, shape)[1])),
        )


@final
@dataclass(frozen=True)
class Perceptron(Node):
    """Two linear layers with an activation between them: (T, D) to (T, D)."""

    features: Int
    act: Str = "gelu"

    def lower(self, shape: Shape) -> Node:
        return Chain.of(expand=Linear(self.features), act=Act(self.act), project=Linear(shape[-1]))


def tokens(node: Node, shape: Shape) -> Shape:
    """The shape itself; ValueError where it is no row of tokens."""
    if len(shape) != 2 or not isinstance(shape[0], int):
        raise ValueError(f"{type(node).__name__} needs tokens (T, D), got {shape}")
    return shape
