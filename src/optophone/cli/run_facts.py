"""What a bundle tells of the training it came from, as its run and its data sets have it."""

import hashlib
from collections.abc import Sequence

from optophone.data.manifest import Dataset
from optophone.export.training_facts import TrainingFacts


def run_facts(name: str, datasets: Sequence[Dataset], steps: int) -> TrainingFacts:
    """The facts of a run of `steps` optimizer steps over one or several data sets, the options those of the first."""
    hashes = [dataset.hash() for dataset in datasets]
    return TrainingFacts(
        name=name,
        data=", ".join(dataset.name for dataset in datasets),
        data_hash=hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest(),
        data_licence="; ".join(dict.fromkeys(dataset.licence for dataset in datasets)),
        data_options=datasets[0].options,
        steps=steps,
    )
