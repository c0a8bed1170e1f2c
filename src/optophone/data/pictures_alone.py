"""Pictures without captions."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from torch import Tensor


class Shown(Protocol):
    """Pictures as a training data set shows them: (B, 3, H, W), or regions (B, R, D) with their mask or None."""

    def shown(self, indices: Sequence[int], step: int, rng: np.random.Generator) -> tuple[Tensor, Tensor | None]:
        """As training sees them at `step`."""
        ...

    def unchanged(self, indices: Sequence[int]) -> tuple[Tensor, Tensor | None]:
        """As they are."""
        ...


class PicturesAlone:
    """The pictures of a training data set that have no captions.

    Args:
        source: the data set.
        indices: those pictures in it.
        seed: of the run.
    """

    def __init__(self, source: Shown, indices: Sequence[int], seed: int) -> None:
        assert indices, "no pictures"
        self.source, self.indices, self.seed = source, indices, seed

    def draw(self, number: int, n: int) -> list[int]:
        """`n` of them for the `number`th time, in the order of the data set; all where there are fewer."""
        rng = np.random.default_rng((self.seed, 4, number))
        chosen = rng.choice(len(self.indices), min(n, len(self.indices)), replace=False)
        return [self.indices[i] for i in sorted(chosen)]
