"""What every captioner decoder returns when it is taught with known captions."""

from typing import NamedTuple

from torch import Tensor


class CaptionerOutput(NamedTuple):
    """Scores of every next symbol, and where the decoder looked.

    Args:
        logits: (B, S, V) unnormalised scores of the symbol that follows each input symbol.
        attention: (B, S, R) weights over the regions per input symbol, summing to 1 over R; for a decoder
            that does not look at regions, 1 / R everywhere.
        extras: what the decoder's own `auxiliary_losses` needs besides; empty for most.
    """

    logits: Tensor
    attention: Tensor
    extras: tuple[Tensor, ...] = ()
