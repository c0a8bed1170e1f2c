"""A trained direct model as a bundle."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.configuration import to_mapping
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec
from optophone.core.search import SearchConfig
from optophone.core.unit_origin import UnitOrigin
from optophone.core.vocabulary import Vocabulary
from optophone.export.captioner import TrainedCaptioner, export_captioner
from optophone.export.differences import worse
from optophone.export.frame_transformer import (
    frame_transformer_difference,
    frame_transformer_options,
    write_frame_transformer,
)
from optophone.export.mean_picture import write_mean_picture
from optophone.export.parallel import TrainedParallel, export_parallel
from optophone.export.show_and_speak import show_and_speak_difference, show_and_speak_options, write_show_and_speak
from optophone.export.training_facts import ExportError, Precision, TrainingFacts
from optophone.models.captioners.captioner import Captioner
from optophone.models.direct.direct import Direct
from optophone.models.direct.joint import Joint
from optophone.runtime.mean_picture import MEAN_PICTURE
from optophone.runtime.onnx_direct import load_direct

LARGEST_DIFFERENCE = 1e-4  # of graphs, relative to the largest value where that is above 1
_N_COMPARED = 2


class Graphs(NamedTuple):
    """How the graphs of a member without units are made: the runtime's options, writing, difference on a picture;
    and whether it can be guided, by the mean picture."""

    options: Callable[[Any], dict[str, Any]]
    write: Callable[[Direct, PictureSpec, BundleWriter], None]
    difference: Callable[[Direct, Any, np.ndarray], float]
    is_guided: bool = False


GRAPHS: dict[str, Graphs] = {
    "show-and-speak": Graphs(show_and_speak_options, write_show_and_speak, show_and_speak_difference),
    "transformer": Graphs(frame_transformer_options, write_frame_transformer, frame_transformer_difference, True),
}


@dataclass(frozen=True)
class TrainedDirect:
    """A direct model at the end of its training.

    Args:
        model: encoder and speaker.
        member: its name in the family, which becomes the bundle's class.
        picture: what the encoder takes.
        mel: layout of its frames.
        search: how it chooses what to say by default.
        facts: where it comes from.
        vocabulary: of the units on the way, or None.
        units: whose units they are, or None.
    """

    model: Direct
    member: str
    picture: PictureSpec
    mel: MelSpec
    search: SearchConfig
    facts: TrainingFacts
    vocabulary: Vocabulary | None = None
    units: UnitOrigin | None = None

    def writer(self, folder: Path, options: Mapping[str, Any]) -> BundleWriter:
        """A bundle of it, with `options` in its configuration."""
        return BundleWriter(
            folder,
            kind="direct",
            cls=self.member,
            name=self.facts.name,
            configuration={**options, self.facts.section: self.facts.to_mapping()},
            vocabulary=self.vocabulary,
            mel=self.mel,
            picture=self.picture,
            data_manifest_hash=self.facts.data_hash,
        )


def export_direct(
    trained: TrainedDirect,
    folder: Path,
    precision: Precision,
    calibration: Sequence[np.ndarray],
    pictures: Sequence[np.ndarray],
    utterances: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Write the bundle `folder / precision` and check it through the runtime.

    Args:
        trained: what to export.
        folder: a scratch folder.
        precision: "int8" for models that go by way of units alone, whose halves have it.
        calibration: training pictures (H, W, 3) uint8, on which the ranges of eight-bit values are measured, and whose
            mean guides; none for no guidance.
        pictures: others, on which the graphs are compared.
        utterances: units (S,) on which the voice inside is compared; none where there are no units.

    Returns:
        what was measured, for the bundle's configuration.

    Raises:
        ExportError: a graph differs from the model, or there is no such precision of it.
    """
    trained.model.eval()
    if isinstance(trained.model.speaker, Joint):
        return _export_joint(trained, trained.model.speaker, folder, precision, calibration, pictures, utterances)
    if precision != "fp32":
        raise ExportError(f"{trained.facts.name}: direct models without units have fp32 alone; use --precision fp32.")
    graphs = GRAPHS[trained.member]
    options = {**graphs.options(trained.model.speaker), "search": to_mapping(trained.search)}
    with trained.writer(folder / precision, options) as writer:
        graphs.write(trained.model, trained.picture, writer)
        if graphs.is_guided and len(calibration):
            write_mean_picture(trained.model, trained.picture, calibration, writer)
    runtime, difference = load_direct(open_bundle(folder / precision), 1), 0.0
    for picture in pictures[:_N_COMPARED]:
        difference = worse(difference, graphs.difference(trained.model, runtime, picture))
    if not difference <= LARGEST_DIFFERENCE:
        raise ExportError(f"{trained.facts.name}: the ONNX graphs differ from the model by {difference:.2g}.")
    return {"precision": precision, "difference_from_torch": difference}


def _export_joint(
    trained: TrainedDirect,
    speaker: Joint,
    folder: Path,
    precision: Precision,
    calibration: Sequence[np.ndarray],
    pictures: Sequence[np.ndarray],
    utterances: Sequence[np.ndarray],
) -> dict[str, Any]:
    """Export and check the halves as captioner and voice, and put their graphs into one bundle."""
    vocabulary, facts, units = trained.vocabulary, trained.facts, trained.units
    assert vocabulary is not None
    captioner = TrainedCaptioner(
        Captioner(trained.model.encoder, speaker.captioner),
        speaker.config.captioner.name,
        vocabulary,
        trained.picture,
        trained.search,
        facts,
        units=units,
    )
    voice = TrainedParallel(speaker.voice, vocabulary, trained.mel, facts, units=units)
    found = export_captioner(captioner, folder / "captioner", precision, calibration, pictures)
    of_voice = export_parallel(voice, folder / "voice", precision, utterances)
    halves = [open_bundle(folder / half / precision) for half in ("captioner", "voice")]
    options = {name: value for half in halves for name, value in half.manifest.configuration.items()}
    with trained.writer(folder / precision, options) as writer:
        for half in halves:
            for name in half.manifest.files:
                if name.endswith(".onnx") or name == MEAN_PICTURE:
                    shutil.copyfile(half.file(name), writer.path(name))
    difference = worse(found["difference_from_torch"], of_voice["difference_from_torch"])
    return {**of_voice, **found, "difference_from_torch": difference}
