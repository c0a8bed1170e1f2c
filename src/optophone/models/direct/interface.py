"""What a direct model stands between, and the speech that it is taught with."""

from typing import NamedTuple

from torch import Tensor

from optophone.core.mel import MelSpec
from optophone.core.vocabulary import Vocabulary
from optophone.models.acoustic.parallel import Frames


class Ends(NamedTuple):
    """What a direct model reads and what it makes.

    Fields: region_dim, D of the regions; grid, their rows and columns, None where they have no order; mel, the layout
    of the frames; vocabulary of the units on the way, None where the data has no units.
    """

    region_dim: int
    grid: tuple[int, int] | None
    mel: MelSpec
    vocabulary: Vocabulary | None = None


class TrueSpeech(NamedTuple):
    """What people said of pictures, right-padded; the C utterances about a picture are adjacent.

    Fields: mel (N, M, T); mel_lengths (N,). Where the data has units also ids (N, S), ids_mask (N, S) true at valid
    ones, and the places of their frames.
    """

    mel: Tensor
    mel_lengths: Tensor
    ids: Tensor | None = None
    ids_mask: Tensor | None = None
    frames: Frames | None = None
