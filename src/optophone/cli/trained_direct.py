"""The folder of a finished training of a direct model as something to export."""

from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.evenly_spread import spread
from optophone.cli.run_facts import run_facts
from optophone.core.picture import PictureSpec
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import read_dataset
from optophone.export.direct import TrainedDirect, export_direct
from optophone.export.training_facts import Precision
from optophone.models.direct.build import build_direct
from optophone.training.direct_speech import WEIGHTS, DirectExperiment, read_units
from optophone.training.weights import load_weights

N_CALIBRATION_PICTURES = 200
N_EXAMPLE_PICTURES = 60
N_EXAMPLE_UTTERANCES = 24


def export_direct_run(experiment: DirectExperiment, run: Path, folder: Path, precision: Precision) -> dict[str, Any]:
    """Export a run of kind "direct"; its graphs are compared on pictures of the dev split."""
    config, units = experiment.data, read_units(experiment.data)
    vocabulary = None if units is None else Vocabulary.load(run / "vocabulary.json")
    model = build_direct(experiment.encoder, experiment.model, config.mel, config.size, vocabulary)
    load_weights(model, run / WEIGHTS)
    pictures, speech = read_dataset(config.pictures), read_dataset(config.speech)
    utterances: list[np.ndarray] = []
    if units is not None and vocabulary is not None:
        texts = spread(list(units.texts("dev").values()), N_EXAMPLE_UTTERANCES)
        utterances = [np.array(vocabulary.encode(text), np.int64) for text in texts]
    trained = TrainedDirect(
        model,
        experiment.model.name,
        PictureSpec(config.size, config.size),
        config.mel,
        experiment.search,
        run_facts(experiment, [pictures, speech]),
        vocabulary,
        None if units is None else units.origin,
    )
    calibration = spread(pictures.array("train", "pictures"), N_CALIBRATION_PICTURES)
    examples = spread(pictures.array("dev", "pictures"), N_EXAMPLE_PICTURES)
    return export_direct(trained, folder, precision, calibration, examples, utterances)
