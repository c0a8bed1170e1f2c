"""What every way of learning from pictures and captions that do not belong together has in common."""

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from optophone.data.captions_alone import CaptionsAlone
from optophone.data.pictures_alone import PicturesAlone
from optophone.training.caption_loss import caption_cross_entropy

# What captions are drawn for: every use draws its own at the same step.
LANGUAGE_MODEL, BACK_TRANSLATION, BOTTLENECK = range(3)
# Weight of what teaches a helper and not the captioner. Adam's steps do not depend on it; but gradients are clipped by
# the norm of all of them, which is the captioner's as long as those of helpers are small.
ASIDE = 0.01


class Pairs(NamedTuple):
    """The pairs of a step, as the methods learn from them beside the captioner.

    Args:
        regions: (B, R, D) of the pictures; gradients may be taken.
        regions_mask: (B, R) true where there is a region, or None.
        targets: (B·C, S) symbols with the end; the captions of a picture are adjacent.
        counted: (B·C, S) true where a symbol counts.
    """

    regions: Tensor
    regions_mask: Tensor | None
    targets: Tensor
    counted: Tensor

    @property
    def captions_per_picture(self) -> int:
        """C."""
        return len(self.targets) // len(self.regions)

    def first_captions(self) -> tuple[Tensor, Tensor]:
        """A caption for each picture: symbols (B, S), and which of them count (B, S)."""
        return self.targets[:: self.captions_per_picture], self.counted[:: self.captions_per_picture]


class Surroundings(NamedTuple):
    """What methods learn from beside the pairs, and in what way.

    Args:
        captions: without pictures; None where there are none.
        pictures: without captions; None where there are none.
        n_captions: captions alone a step, unless a method says otherwise.
        n_pictures: pictures alone a step, unless a method says otherwise.
        pad: the id that does not count.
        label_smoothing: as of the pairs.
    """

    captions: CaptionsAlone | None
    pictures: PicturesAlone | None
    n_captions: int
    n_pictures: int
    pad: int
    label_smoothing: float

    def cross_entropy(self, logits: Tensor, targets: Tensor) -> Tensor:
        """As of the pairs."""
        return caption_cross_entropy(logits, targets, self.pad, self.label_smoothing)


class Method(Protocol):
    """A way to learn more than the pairs teach."""

    def losses(self, model: Any, pairs: Pairs, step: int) -> dict[str, Tensor]:
        """Named scalars, each already weighted, that are added to the loss of the pairs.

        Args:
            model: an `UnpairedCaptioner`.
            pairs: of this step.
            step: of the run.
        """
        ...
