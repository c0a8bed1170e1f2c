"""A Tacotron 2 of one voice as the beginning of one of several."""

from collections.abc import Mapping

import torch
from torch import Tensor

from optophone.models.acoustic.tacotron2 import Tacotron2

# What reads the memory; its last inputs are the memory's, whose last features are the speaker's.
READERS = (
    "decoder.attention.memory.weight",
    "decoder.attention_rnn.weight_ih",
    "decoder.decoder_rnn.weight_ih",
    "decoder.projection.weight",
    "decoder.stop.weight",
)
EMBEDDING = "speakers.weight"


def grow_speakers(state: Mapping[str, Tensor], model: Tacotron2) -> dict[str, Tensor]:
    """The weights `state` of a single voice as weights of `model`, which has several.

    All speakers then say exactly what the single voice says: what reads a speaker's features begins at zero. They part
    by training, because their embeddings stay as random as `model` has them. Weights that already have speakers, and
    weights for a model that has none, are left as they are.
    """
    grown = dict(state)
    if model.speakers is None or EMBEDDING in grown:
        return grown
    for name in READERS:
        if name in grown:
            weight = grown[name]
            grown[name] = torch.cat((weight, weight.new_zeros(*weight.shape[:-1], model.config.speaker_dim)), dim=-1)
    grown[EMBEDDING] = model.speakers.weight.detach().clone()
    return grown
