"""How long the symbols of utterances last, as trained networks find it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import torch

from optophone.core.configuration import from_mapping
from optophone.core.durations import expected_durations, whole_durations
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.speech import SpeechBatch
from optophone.models.acoustic.alignment_network import AlignmentNetwork
from optophone.models.acoustic.tacotron2 import Tacotron2
from optophone.training import aligning, synthesis
from optophone.training.aligning import AligningExperiment, log_likelihoods
from optophone.training.configuration_file import read_configuration
from optophone.training.synthesis import SynthesisExperiment, read_speakers
from optophone.training.weights import load_weights

_KINDS: dict[str, type[AligningExperiment | SynthesisExperiment]] = {
    "aligner": AligningExperiment,
    "acoustic": SynthesisExperiment,
}


class Aligner(Protocol):
    """Says how long the symbols of utterances last."""

    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        """Whole frames (S,) of the symbols of each utterance; they add up to its frames."""
        ...


class AllWays:
    """For as long as they last on average over all ways through the spectra of an `AlignmentNetwork`.

    The likeliest way alone leaves letters a single frame or many, by chance, where they sound like their neighbours.
    """

    def __init__(self, model: AlignmentNetwork) -> None:
        self.model = model

    @torch.no_grad()
    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        """Whole frames (S,) of the symbols of each utterance; they add up to its frames."""
        spectra = self.model(batch.ids, batch.id_lengths, batch.speakers)
        fits = log_likelihoods(self.model, spectra, batch)
        return [whole_durations(expected_durations(one)) for one in fits]


class LookedAt:
    """For as long as a Tacotron 2, being told the mel, looks at them."""

    def __init__(self, model: Tacotron2) -> None:
        self.model = model

    @torch.no_grad()
    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        """Whole frames (S,) of the symbols of each utterance; they add up to its frames.

        Attention weights are summed over time, which gives fractions of steps; with silent letters, hardly any.
        """
        model = self.model
        r = model.config.reduction_factor
        n_steps = -(-batch.mel.shape[2] // r)
        masks = [torch.ones(n_steps, len(batch.ids), size) for size in model.config.prenet_dims]
        alignment = model(*batch, prenet_masks=masks).alignment.double()
        found = []
        for i, (n_symbols, n_frames) in enumerate(zip(batch.id_lengths, batch.mel_lengths, strict=True)):
            looked = alignment[i, : -(-int(n_frames) // r), : int(n_symbols)].sum(0).numpy()
            found.append(whole_durations(looked * (float(n_frames) / looked.sum())))
        return found


def read_aligner(run: str | Path, vocabulary: Vocabulary, speakers: Sequence[str]) -> Aligner:
    """The aligner that a finished training of kind "aligner" or "acoustic" made.

    Args:
        run: its folder.
        vocabulary, speakers: what the utterances are written in and who speaks them; the run's have to be the same.

    Raises:
        ConfigurationError: they are not, or there is no such run.
    """
    run = Path(run)
    path = run / "configuration.yaml"
    mapping = read_configuration(path)
    if mapping.get("kind") not in _KINDS:
        raise ConfigurationError(
            f"{run}: of kind {mapping.get('kind')}; aligner_from needs a run of kind aligner or acoustic."
        )
    experiment = from_mapping(_KINDS[mapping["kind"]], mapping, str(path))
    own_speakers = read_speakers(run) if experiment.data.speakers else ()
    if Vocabulary.load(run / "vocabulary.json").hash != vocabulary.hash or own_speakers != tuple(speakers):
        raise ConfigurationError(f"{run}: reads other symbols or knows other voices than these data.")
    if isinstance(experiment, AligningExperiment):
        network = aligning.build_model(experiment, vocabulary, len(own_speakers)).eval()
        load_weights(network, run / aligning.WEIGHTS)
        return AllWays(network)
    model = synthesis.build_model(replace(experiment, weights=None), vocabulary, len(own_speakers)).eval()
    load_weights(model, run / synthesis.WEIGHTS)
    return LookedAt(model)
