"""Block-wise training: a space cut into blocks, each trained and rated without labels, and the sum of their scores."""

from nas.training.blocks.blockwise import Blockwise
from nas.training.blocks.scores import Scores
from nas.training.blocks.split import blocks

__all__ = ["Blockwise", "Scores", "blocks"]
