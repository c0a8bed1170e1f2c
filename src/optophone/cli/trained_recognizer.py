"""The folder of a finished training of a recogniser as something to export."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.audio import resample
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import Vocabulary
from optophone.data.heard_speech import heard_rows
from optophone.data.manifest import Dataset, read_dataset
from optophone.export.recognizer import TrainedRecognizer, export_recognizer
from optophone.export.training_facts import Precision, TrainingFacts
from optophone.models.recognizers.ctc import CtcRecognizer
from optophone.training.recognizing import WEIGHTS, RecognizingExperiment
from optophone.training.weights import load_weights

N_EXAMPLES = 8  # of each data set


def export_recognizing(
    experiment: RecognizingExperiment, run: Path, folder: Path, precision: Precision | None
) -> dict[str, Any]:
    """Export a run of kind "recognizer"; the graph is compared on utterances of its dev splits.

    Raises:
        ConfigurationError: eight bits were asked for.
    """
    if precision == "int8":
        raise ConfigurationError(f"{run}: what judges others is not rounded to eight bits; leave --precision out.")
    vocabulary = Vocabulary.load(run / "vocabulary.json")
    model = CtcRecognizer(experiment.sizes())
    load_weights(model, run / WEIGHTS)
    datasets = [read_dataset(place) for place in experiment.data.folders]
    trained = TrainedRecognizer(model, vocabulary, experiment.data.mel, _facts(experiment, datasets))
    return export_recognizer(trained, folder, _examples(experiment, datasets))


def _examples(experiment: RecognizingExperiment, datasets: Sequence[Dataset]) -> list[np.ndarray]:
    waves = []
    for dataset in datasets:
        rows = heard_rows(dataset, "dev", experiment.data.max_seconds)
        chosen = np.unique(np.linspace(0, len(rows) - 1, min(N_EXAMPLES, len(rows))).round().astype(int))
        waves += [resample(*dataset.wave(rows[i]), experiment.data.mel.sample_rate) for i in chosen]
    return waves


def _facts(experiment: RecognizingExperiment, datasets: Sequence[Dataset]) -> TrainingFacts:
    """Where it comes from: all its data sets, and the voices of those that were spoken for it."""
    names, licences = dict.fromkeys(experiment.data.names), dict.fromkeys(dataset.licence for dataset in datasets)
    hashes = "".join(dataset.hash() for dataset in datasets)
    voices = [voice for dataset in datasets for voice in dataset.options.get("voices", ())]
    return TrainingFacts(
        name=experiment.name,
        data=", ".join(names),
        data_hash=hashlib.sha256(hashes.encode()).hexdigest(),
        data_licence=" ".join(licences),
        data_options={"voices": voices} if voices else {},
        steps=experiment.trainer.max_steps,
    )
