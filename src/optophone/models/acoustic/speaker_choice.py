"""One voice of a Tacotron 2 that has several."""

from dataclasses import replace

from optophone.models.acoustic.speaker_growth import EMBEDDING
from optophone.models.acoustic.tacotron2 import Tacotron2


def keep_speaker(model: Tacotron2, number: int) -> Tacotron2:
    """A copy of `model` with the voice `number` alone, which is its speaker 0.

    Of the others nothing is left but what all have learned together.
    """
    assert 0 <= number < model.config.n_speakers
    kept = Tacotron2(replace(model.config, n_speakers=1))
    state = model.state_dict()
    state[EMBEDDING] = state[EMBEDDING][number : number + 1]
    kept.load_state_dict(state)
    return kept.train(model.training)
