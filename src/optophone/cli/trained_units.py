"""The folder of a finished training of units as something to export."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.run_facts import run_facts
from optophone.core.audio import resample
from optophone.core.k_means_units import KMeansUnits
from optophone.data.manifest import Dataset, read_dataset
from optophone.export.units import TrainedUnits, export_k_means_units, export_units
from optophone.export.wavenet_units import TrainedWaveNetUnits, export_wavenet_units
from optophone.models.units.resdavenet import ResDAVEnet
from optophone.models.units.wavenet_vq import WaveNetVQ
from optophone.training.k_means_learning import K_MEANS_UNITS, KMeansLearningExperiment
from optophone.training.synthesis import read_speakers
from optophone.training.unit_learning import WEIGHTS, UnitLearningExperiment
from optophone.training.wavenet_units import WEIGHTS as WAVENET_WEIGHTS
from optophone.training.wavenet_units import WaveNetUnitsExperiment, model_config
from optophone.training.weights import load_weights

N_EXAMPLES = 24


def export_unit_learning(experiment: UnitLearningExperiment, run: Path, folder: Path) -> dict[str, Any]:
    """Export the half that hears of a run of kind "units"; the units are compared on utterances of its dev split."""
    bank = experiment.data.bank
    model = ResDAVEnet(replace(experiment.model, n_mels=bank.n_mels))
    load_weights(model, run / WEIGHTS, prefix="audio.")
    speech = read_dataset(experiment.data.speech)
    facts = run_facts(experiment, [speech])
    examples = example_waves(speech, bank.sample_rate)
    return export_units(TrainedUnits(model.eval(), bank, facts), folder, examples)


def export_k_means_learning(experiment: KMeansLearningExperiment, run: Path, folder: Path) -> dict[str, Any]:
    """Export a run of kind "k-means-units"."""
    units = KMeansUnits.load(run / K_MEANS_UNITS)
    facts = run_facts(experiment, [read_dataset(experiment.data.speech)])
    return export_k_means_units(units, facts, folder)


def export_wavenet_learning(experiment: WaveNetUnitsExperiment, run: Path, folder: Path) -> dict[str, Any]:
    """Export the encoder of a run of kind "wavenet-units"; the units are compared on utterances of its dev splits."""
    model = WaveNetVQ(model_config(experiment, len(read_speakers(run))))
    load_weights(model, run / WAVENET_WEIGHTS)
    datasets, bank = [read_dataset(place) for place in experiment.data.folders], experiment.data.bank
    facts = run_facts(experiment, datasets)
    examples = [wave for dataset in datasets for wave in example_waves(dataset, bank.sample_rate)]
    return export_wavenet_units(TrainedWaveNetUnits(model.eval(), bank, facts), folder, examples)


UNIT_EXPORTS: dict[str, Callable[[Any, Path, Path], dict[str, Any]]] = {
    "units": export_unit_learning,
    "k-means-units": export_k_means_learning,
    "wavenet-units": export_wavenet_learning,
}


def example_waves(speech: Dataset, sample_rate: int) -> list[np.ndarray]:
    """Waves (N,) of a few utterances of the dev split, or of the first there is, evenly spread."""
    rows = speech.rows("dev" if "dev" in speech.splits else next(iter(speech.splits)))
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(N_EXAMPLES, len(rows))).round().astype(int))
    return [resample(*speech.wave(rows[i]), sample_rate) for i in chosen]
