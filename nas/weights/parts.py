"""Parts of a network that exist only while it is searched: they are of the reading, not of the tree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

from torch import Tensor, nn

from nas.errors import UserError
from nas.tree import Call, Shape

Kernels: TypeAlias = Literal["crop", "transform"]
POOLS = (nn.MaxPool2d, nn.AvgPool2d)


@final
@dataclass(frozen=True)
class SearchOnly:
    """How the networks of a supernet differ from those that are trained alone.

    affine: whether batch norms learn a scale and a shift; the searches of DARTS (Liu et al. 2019, arXiv:1806.09055)
    and of SPOS (Guo et al. 2020, arXiv:1904.00420) leave them out, by their released code.
    norm_after_pool: whether a batch norm that learns nothing stands behind each pooling of windows, as in DARTS'
    search; what is pooled over the whole image has none.
    kernels: how a small kernel is had from a larger one where a layer's kernel is a choice: by its central taps, or by
    learned matrices behind them (`nas.weights.transforms`).
    partial: K, where one K-th of the channels alone goes through a relaxed choice (`nas.weights.partial`).
    """

    affine: bool = True
    norm_after_pool: bool = False
    kernels: Kernels = "crop"
    partial: int = 1

    def __post_init__(self) -> None:
        wrong = [name for name in ("affine", "norm_after_pool") if not isinstance(getattr(self, name), bool)]
        if wrong:
            raise UserError(f"{wrong[0]} of a supernet is {getattr(self, wrong[0])!r}", fix="give true or false")
        if self.kernels not in get_args(Kernels):
            raise UserError(
                f"kernels of a supernet is {self.kernels!r}", fix=f"take one of {', '.join(get_args(Kernels))}"
            )
        if isinstance(self.partial, bool) or not isinstance(self.partial, int) or self.partial < 1:
            raise UserError(f"partial of a supernet is {self.partial!r}", fix="give a whole number, 1 for all channels")

    def call(self, call: Call, shape: Shape) -> Call:
        """What builds a layer of the search network, from what builds the layer of the network alone."""
        if self.norm_after_pool and _pools(call):
            return Call.of(NormedPool, call, shape[0])
        return self.learned(call)

    def learned(self, call: Call) -> Call:
        """The same, as far as what it learns is concerned."""
        return call if self.affine else Call.of(without_affine, call)


@final
class NormedPool(nn.Module):
    """A pooling, and a batch norm that learns nothing."""

    def __init__(self, pool: Call, channels: int) -> None:
        super().__init__()
        self.pool = pool()
        self.norm = nn.BatchNorm2d(channels, affine=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C, H', W')."""
        normed: Tensor = self.norm(self.pool(x))
        return normed


def without_affine(call: Call) -> nn.Module:
    """The module that a call builds, whose batch norms learn no scale and no shift."""
    module: nn.Module = call()
    for part in module.modules():
        if isinstance(part, nn.modules.batchnorm._BatchNorm):
            part.affine = False
            part.register_parameter("weight", None)
            part.register_parameter("bias", None)
    return module


def _pools(call: Call) -> bool:
    """Whether a call builds a pooling whose windows have several pixels."""
    if call.make not in POOLS:
        return False
    return (call.args[0] if call.args else dict(call.kwargs)["kernel_size"]) not in (1, (1, 1))
