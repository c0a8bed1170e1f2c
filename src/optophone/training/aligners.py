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


class EachItsOwn:
    """Voices are shared out among aligners: each is asked about its own, by its own numbers for them.

    Args:
        aligners: who is asked.
        owners: for each voice of the data, which of `aligners` knows it, and as which voice.
    """

    def __init__(self, aligners: Sequence[Aligner], owners: Sequence[tuple[int, int]]) -> None:
        self.aligners = list(aligners)
        self.owner, self.number = torch.tensor(owners).unbind(1)

    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        """Whole frames (S,) of the symbols of each utterance; they add up to its frames."""
        assert batch.speakers is not None
        renumbered = batch._replace(speakers=self.number[batch.speakers])
        return _share_out(renumbered, self.owner[batch.speakers], self.aligners)


class BySpelling:
    """Utterances with inline phones are aligned by somebody else than those in letters alone.

    Args:
        letters: of whom utterances without phones are asked.
        phones: of whom the others are.
        symbols: what they are written in.
    """

    def __init__(self, letters: Aligner, phones: Aligner, symbols: Vocabulary) -> None:
        self.aligners = (letters, phones)
        self.is_phone = torch.tensor([symbol.startswith("@") for symbol in symbols.symbols])

    def durations(self, batch: SpeechBatch) -> list[np.ndarray]:
        """Whole frames (S,) of the symbols of each utterance; they add up to its frames."""
        return _share_out(batch, self.is_phone[batch.ids].any(1).long(), self.aligners)


def _share_out(batch: SpeechBatch, owners: torch.Tensor, aligners: Sequence[Aligner]) -> list[np.ndarray]:
    """The durations of each utterance, by that one of `aligners` which `owners` (B,) names."""
    found: dict[int, np.ndarray] = {}
    for owner in owners.unique().tolist():
        rows = torch.nonzero(owners == owner).flatten()
        speakers = None if batch.speakers is None else batch.speakers[rows]
        part = SpeechBatch(batch.ids[rows], batch.id_lengths[rows], batch.mel[rows], batch.mel_lengths[rows], speakers)
        found |= zip(rows.tolist(), aligners[owner].durations(part), strict=True)
    return [found[row] for row in range(len(owners))]


def read_aligner(run: str | Path, vocabulary: Vocabulary, speakers: Sequence[str], *further: str | Path) -> Aligner:
    """The aligner that a finished training of kind "aligner" or "acoustic" made, or several.

    Args:
        run: its folder.
        vocabulary, speakers: what the utterances are written in and who speaks them.
        further: folders of other such runs, for voices that those before do not know.

    Raises:
        ConfigurationError: there is no such run, it reads other symbols, or nobody knows one of the voices.
    """
    aligners: list[Aligner] = []
    owners: dict[str, tuple[int, int]] = {}
    for place in (run, *further):
        aligner, known = _read_one(Path(place), vocabulary)
        if bool(known) != bool(speakers):
            told = "tells voices apart, and these data do not" if known else "does not tell voices apart"
            raise ConfigurationError(f"{place}: {told}; set data.speakers alike in both.")
        owners = {name: (len(aligners), number) for number, name in enumerate(known)} | owners
        aligners.append(aligner)
    if not speakers:
        return aligners[0]
    unknown = [name for name in speakers if name not in owners]
    if unknown:
        raise ConfigurationError(
            f"{run}: knows other voices than these data, not {unknown[0]!r}; name a run that knows it in "
            "further_aligners_from."
        )
    return EachItsOwn(aligners, [owners[name] for name in speakers])


def _read_one(run: Path, vocabulary: Vocabulary) -> tuple[Aligner, Sequence[str]]:
    """An aligner and the voices that it knows, by number; none where it does not tell them apart."""
    path = run / "configuration.yaml"
    mapping = read_configuration(path)
    if mapping.get("kind") not in _KINDS:
        raise ConfigurationError(
            f"{run}: of kind {mapping.get('kind')}; aligner_from needs a run of kind aligner or acoustic."
        )
    experiment = from_mapping(_KINDS[mapping["kind"]], mapping, str(path))
    speakers = read_speakers(run) if experiment.data.speakers else ()
    if Vocabulary.load(run / "vocabulary.json").hash != vocabulary.hash:
        raise ConfigurationError(f"{run}: reads other symbols than these data.")
    if isinstance(experiment, AligningExperiment):
        network = aligning.build_model(experiment, vocabulary, len(speakers)).eval()
        load_weights(network, run / aligning.WEIGHTS)
        return AllWays(network), speakers
    model = synthesis.build_model(replace(experiment, weights=None), vocabulary, len(speakers)).eval()
    load_weights(model, run / synthesis.WEIGHTS)
    return LookedAt(model), speakers
