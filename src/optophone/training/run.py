"""From a YAML file to a run: read, check, save beside the weights, train."""

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import yaml

from optophone.core.configuration import from_mapping, to_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.whole_file import collect_unfinished, why_unwritten, write_whole
from optophone.training.configuration_file import read_configuration
from optophone.training.processes import count, is_first, joined_processes

# Kind of a configuration to the module of `training` that knows it, its dataclass and what runs it.
KINDS = {
    "encoder": ("classification", "ClassificationExperiment", "run_classification"),
    "captioner": ("captioning", "CaptioningExperiment", "run_captioning"),
    "acoustic": ("synthesis", "SynthesisExperiment", "run_synthesis"),
    "parallel-acoustic": ("parallel_synthesis", "ParallelExperiment", "run_parallel_synthesis"),
    "aligner": ("aligning", "AligningExperiment", "run_aligning"),
    "unit-to-mel": ("parallel_synthesis", "ParallelExperiment", "run_parallel_synthesis"),
    "photograph": ("photograph", "PhotographExperiment", "run_photograph"),
    "vocoder": ("vocoding", "VocoderExperiment", "run_vocoding"),
    "vocos": ("vocos_training", "VocosExperiment", "run_vocos_training"),
    "units": ("unit_learning", "UnitLearningExperiment", "run_unit_learning"),
    "k-means-units": ("k_means_learning", "KMeansLearningExperiment", "run_k_means_learning"),
    "wavenet-units": ("wavenet_units", "WaveNetUnitsExperiment", "run_wavenet_units"),
    "recognizer": ("recognizing", "RecognizingExperiment", "run_recognizing"),
    "direct": ("direct_speech", "DirectExperiment", "run_direct"),
}
SHARED_KINDS = ("captioner",)  # those that several processes can train together


def build_experiment(mapping: dict[str, Any], where: str) -> tuple[Any, Any]:
    """The typed experiment of `mapping`, and the function that runs it; imports only what its kind needs.

    Raises:
        ConfigurationError: no such kind, or options that it does not have.
    """
    kind = mapping.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigurationError(f"{where}: kind {kind!r} is not one of {', '.join(KINDS)}.")
    module, experiment, run = KINDS[kind]
    found = import_module(f"optophone.training.{module}")
    return from_mapping(getattr(found, experiment), mapping, where), getattr(found, run)


def train(path: str | Path, overrides: Sequence[tuple[str, str]] = (), out: str | Path | None = None) -> Path:
    """Train what the YAML file `path` describes; goes on where an earlier call with the same folder stopped.

    Args:
        path: the configuration.
        overrides: dotted option and YAML value.
        out: the run's folder; `work/<name>` when None.

    Returns:
        The run's folder: `configuration.yaml` (resolved), `last.ckpt`, `curves/`, the weights.

    Raises:
        ConfigurationError: the configuration is wrong, or `torchrun` started several processes for a kind that trains
            in one.
    """
    experiment, run = build_experiment(read_configuration(path, overrides), str(path))
    n_processes = count()
    if n_processes > 1 and experiment.kind not in SHARED_KINDS:
        raise ConfigurationError(f"{path}: kind {experiment.kind!r} trains in one process; start it without torchrun.")
    folder = Path(out) if out else Path("work") / experiment.name
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder}: cannot make the run's folder ({why_unwritten(error)}).") from None
    resolved = yaml.safe_dump(to_mapping(experiment), sort_keys=False, allow_unicode=True)
    with joined_processes(experiment.trainer.accelerator if n_processes > 1 else "cpu"):
        if is_first():
            collect_unfinished(folder)
            write_whole(folder / "configuration.yaml", resolved.encode())
        run(experiment, folder)
    return folder
