"""What a bundle tells of the training it came from."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Literal

from optophone.core.errors import OptophoneError

Precision = Literal["fp32", "int8"]


class ExportError(OptophoneError):
    """A graph does not do what the model did; nothing was written."""


@dataclass(frozen=True)
class EarlierRun:
    """A run whose weights or alignments another began with: its name and its optimizer steps."""

    name: str
    steps: int


@dataclass(frozen=True)
class TrainingFacts:
    """Where a model comes from.

    Args:
        name: of the run; the bundle's name.
        data: name of the data set.
        data_hash: of its manifests.
        data_licence: its terms.
        data_options: what it was prepared with.
        steps: optimizer steps of the run.
        earlier: runs that it began with, and those that these began with.
    """

    section: ClassVar[str] = "training"
    name: str
    data: str
    data_hash: str
    data_licence: str
    data_options: Mapping[str, Any] = field(default_factory=dict)
    steps: int = 0
    earlier: Sequence[EarlierRun] = ()

    def to_mapping(self) -> dict[str, Any]:
        """For the bundle's configuration, under `section`."""
        options = {name: value for name, value in self.data_options.items() if name != "captions"}
        facts = {"data": self.data, "data_licence": self.data_licence, "data_options": options, "steps": self.steps}
        return {**facts, "earlier": [asdict(run) for run in self.earlier]} if self.earlier else facts
