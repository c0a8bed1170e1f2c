"""The folder of a finished training of units as something to export."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from optophone.core.audio import resample
from optophone.core.k_means_units import KMeansUnits
from optophone.data.manifest import Dataset, read_dataset
from optophone.export.training_facts import TrainingFacts
from optophone.export.units import TrainedUnits, export_k_means_units, export_units
from optophone.models.units.resdavenet import ResDAVEnet
from optophone.training.k_means_learning import K_MEANS_UNITS, KMeansLearningExperiment
from optophone.training.unit_learning import WEIGHTS, UnitLearningExperiment
from optophone.training.weights import load_weights

N_EXAMPLES = 24


def export_unit_learning(experiment: UnitLearningExperiment, run: Path, folder: Path) -> dict[str, Any]:
    """Export the half that hears of a run of kind "units"; the units are compared on utterances of its dev split."""
    bank = experiment.data.bank
    model = ResDAVEnet(replace(experiment.model, n_mels=bank.n_mels))
    load_weights(model, run / WEIGHTS, prefix="audio.")
    speech = read_dataset(experiment.data.speech)
    facts = _facts(experiment.name, speech, experiment.trainer.max_steps)
    examples = example_waves(speech, bank.sample_rate)
    return export_units(TrainedUnits(model.eval(), bank, facts), folder, examples)


def export_k_means_learning(experiment: KMeansLearningExperiment, run: Path, folder: Path) -> dict[str, Any]:
    """Export a run of kind "k-means-units"."""
    units = KMeansUnits.load(run / K_MEANS_UNITS)
    facts = _facts(experiment.name, read_dataset(experiment.data.speech), 0)
    return export_k_means_units(units, facts, folder)


UNIT_EXPORTS: dict[str, Callable[[Any, Path, Path], dict[str, Any]]] = {
    "units": export_unit_learning,
    "k-means-units": export_k_means_learning,
}


def example_waves(speech: Dataset, sample_rate: int) -> list[np.ndarray]:
    """Waves (N,) of a few utterances of the dev split, or of the first there is, evenly spread."""
    rows = speech.rows("dev" if "dev" in speech.splits else next(iter(speech.splits)))
    chosen = np.unique(np.linspace(0, len(rows) - 1, min(N_EXAMPLES, len(rows))).round().astype(int))
    return [resample(*speech.wave(rows[i]), sample_rate) for i in chosen]


def _facts(name: str, speech: Dataset, steps: int) -> TrainingFacts:
    return TrainingFacts(name, speech.name, speech.hash(), speech.licence, speech.options, steps)
