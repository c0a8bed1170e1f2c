"""What a bundle tells of the training it came from, as its run, its data sets and the runs before it have it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from optophone.core.bundle import open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.errors import OptophoneError
from optophone.data.manifest import Dataset
from optophone.export.training_facts import EarlierRun, TrainingFacts
from optophone.runtime.load import captioner_part
from optophone.training.configuration_file import read_configuration


def run_facts(experiment: Any, datasets: Sequence[Dataset]) -> TrainingFacts:
    """The facts of the run of `experiment`, over one or several data sets, the options those of the first."""
    hashes = [dataset.hash() for dataset in datasets]
    return TrainingFacts(
        name=experiment.name,
        data=", ".join(dataset.name for dataset in datasets),
        data_hash=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        data_licence="; ".join(dict.fromkeys(dataset.licence for dataset in datasets)),
        data_options=datasets[0].options,
        steps=_steps(to_mapping(experiment)),
        earlier=earlier_runs(to_mapping(experiment)),
    )


def earlier_runs(configuration: Mapping[str, Any]) -> tuple[EarlierRun, ...]:
    """The runs that a run took weights or alignments from, and those that these took them from, the nearest first.

    A bundle tells of its own run. A run whose folder is gone is passed over: what it was cannot be told any more.
    """
    found: dict[Path, EarlierRun] = {}
    told: list[EarlierRun] = []
    waiting = [configuration]
    while waiting:
        for folder in _folders(waiting.pop(0)):
            try:
                theirs = read_configuration(folder / "configuration.yaml")
            except OptophoneError:
                told.extend(_told_by_bundle(folder))
                continue
            if folder.resolve() not in found:
                found[folder.resolve()] = EarlierRun(str(theirs.get("name", folder.name)), _steps(theirs))
                waiting.append(theirs)
    return tuple(dict.fromkeys([*found.values(), *told]))


def _told_by_bundle(folder: Path) -> list[EarlierRun]:
    """The run of the captioner in a bundle and those before it; none where there is no such bundle."""
    try:
        manifest = captioner_part(open_bundle(folder)).manifest
    except OptophoneError:
        return []
    training = manifest.configuration.get(TrainingFacts.section, {})
    earlier = [EarlierRun(str(run["name"]), int(run["steps"])) for run in training.get("earlier", ())]
    return [EarlierRun(manifest.name, int(training.get("steps", 0))), *earlier]


def _folders(configuration: Mapping[str, Any]) -> Iterator[Path]:
    """Of the runs that options named `weights`, `..._weights` and `..._from` point to: a file in the folder, or it."""
    for key, value in configuration.items():
        if isinstance(value, Mapping):
            yield from _folders(value)
        elif isinstance(value, str) and key.endswith(("weights", "_from")):
            yield Path(value).parent if Path(value).suffix else Path(value)


def _steps(configuration: Mapping[str, Any]) -> int:
    trainer = configuration.get("trainer")
    return int(trainer.get("max_steps", 0)) if isinstance(trainer, Mapping) else 0
