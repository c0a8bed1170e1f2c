"""The folder of a finished training as something to export."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.evenly_spread import spread
from optophone.cli.run_facts import run_facts
from optophone.cli.trained_direct import export_direct_run
from optophone.cli.trained_recognizer import export_recognizing
from optophone.cli.trained_units import UNIT_EXPORTS
from optophone.core.bundle import Bundle, open_bundle
from optophone.core.errors import ConfigurationError
from optophone.core.picture import PictureSpec
from optophone.core.regions import RegionSpec
from optophone.core.text import clean_text, end_sentence, has_phones
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import Dataset, read_dataset
from optophone.data.unit_symbols import UnitSymbols
from optophone.data.voice_segments import VoiceSegments, sounding_rows
from optophone.data.written_captions import pictures_of
from optophone.export.acoustic import TrainedAcoustic, export_acoustic
from optophone.export.captioner import TrainedCaptioner, export_captioner
from optophone.export.parallel import TrainedParallel, export_parallel
from optophone.export.training_facts import Precision, TrainingFacts
from optophone.export.units import check_unit_precision
from optophone.export.vocoder import TrainedVocoder, export_vocoder
from optophone.export.vocos import TrainedVocos, export_vocos
from optophone.models.acoustic.parallel import ParallelAcoustic
from optophone.models.acoustic.tacotron2 import Tacotron2
from optophone.models.captioners.build import build_captioner
from optophone.models.vocoders.vocos import Vocos
from optophone.models.vocoders.waveglow import WaveGlow
from optophone.training.captioning import read_regions, read_units
from optophone.training.configuration_file import read_configuration
from optophone.training.run import build_experiment
from optophone.training.synthesis import WEIGHTS, read_speakers
from optophone.training.synthesis import read_units as read_speech_units
from optophone.training.weights import load_weights

N_CALIBRATION_PICTURES = 200
N_EXAMPLE_PICTURES = 60
N_EXAMPLE_TEXTS = 24
N_EXAMPLE_SEGMENTS = 4


def export_run(
    run: Path, folder: Path, precision: Precision | None = None, speaker: str | None = None
) -> tuple[Bundle, dict[str, Any]]:
    """Export the run in the folder `run` as a bundle in the scratch folder `folder`.

    Args:
        run: a finished training.
        folder: a scratch folder.
        precision: None for int8, and for units and recognisers for fp32, which is the only one that they have, as it is
            for direct models without units.
        speaker: name or number of the one voice that is wanted of an acoustic model of several; None for all of them.

    Returns:
        the opened bundle, and what the export measured.

    Raises:
        ConfigurationError: no finished run of a kind that can be exported, or an acoustic model without such a speaker.
        ExportError: a graph differs from the model.
    """
    path = run / "configuration.yaml"
    if not path.is_file():
        raise ConfigurationError(f"{run}: neither a run (it has no configuration.yaml) nor a bundle.")
    experiment, _ = build_experiment(read_configuration(path), str(path))
    if experiment.kind in UNIT_EXPORTS:
        check_unit_precision(precision, str(run))
        measured = UNIT_EXPORTS[experiment.kind](experiment, run, folder)
        return open_bundle(folder / "fp32"), measured
    if experiment.kind == "recognizer":
        measured = export_recognizing(experiment, run, folder, precision)
        return open_bundle(folder / "fp32"), measured
    if experiment.kind == "direct":
        precision = precision or "fp32"
        measured = export_direct_run(experiment, run, folder, precision)
        return open_bundle(folder / precision), measured
    precision = precision or "int8"
    if experiment.kind == "captioner":
        measured = _export_captioner(experiment, run, folder, precision)
    elif experiment.kind in ("acoustic", "parallel-acoustic", "unit-to-mel"):
        measured = _export_acoustic(experiment, run, folder, precision, speaker)
    elif experiment.kind == "vocoder":
        measured = _export_vocoder(experiment, run, folder, precision)
    elif experiment.kind == "vocos":
        measured = _export_vocos(experiment, run, folder, precision)
    else:
        raise ConfigurationError(
            f"{run}: a run of kind {experiment.kind} becomes no bundle; train a captioner with it."
        )
    return open_bundle(folder / precision), measured


def _export_captioner(experiment: Any, run: Path, folder: Path, precision: Precision) -> dict[str, Any]:
    vocabulary = Vocabulary.load(run / "vocabulary.json")
    size = experiment.data.size
    model = build_captioner(experiment.encoder, experiment.decoder_in_symbols(), len(vocabulary), size)
    load_weights(model, run / "captioner.safetensors")
    dataset = read_dataset(experiment.data.folder)
    name, search, facts = experiment.decoder.name, experiment.search_in_symbols(), _facts(experiment, dataset)
    packed, units = read_regions(experiment), read_units(experiment.data)
    origin = None if units is None else units.origin
    if packed is not None:
        regions = RegionSpec(packed.dim)
        trained = TrainedCaptioner(model.decoder, name, vocabulary, None, search, facts, regions, origin)
        pictures = spread(packed.ids_of(dataset.rows("dev")), N_EXAMPLE_PICTURES)
        return export_captioner(trained, folder, precision, [], [packed[picture] for picture in pictures])
    trained = TrainedCaptioner(model, name, vocabulary, PictureSpec(size, size), search, facts, units=origin)
    calibration = _some_pictures(dataset, "train", size, N_CALIBRATION_PICTURES)
    examples = _some_pictures(dataset, "dev", size, N_EXAMPLE_PICTURES)
    return export_captioner(trained, folder, precision, calibration, examples)


def _some_pictures(dataset: Dataset, split: str, size: int, n: int) -> list[np.ndarray]:
    """About `n` pictures (H, W, 3) uint8 of a split, evenly spread; those in shards at this size."""
    pictures = pictures_of(dataset, split, dataset.rows(split), size)
    return list(pictures[np.array(spread(range(len(pictures)), n))])


def _export_acoustic(
    experiment: Any, run: Path, folder: Path, precision: Precision, speaker: str | None
) -> dict[str, Any]:
    vocabulary = Vocabulary.load(run / "vocabulary.json")
    mel = experiment.data.mel
    speakers = read_speakers(run) if experiment.data.speakers else ()
    if speaker is not None and not speakers:
        raise ConfigurationError(f"{run}: tells no speakers apart; leave --speaker out.")
    sizes = replace(experiment.model, n_symbols=len(vocabulary), n_speakers=len(speakers))
    dataset, units = read_dataset(experiment.data.folder), read_speech_units(experiment.data)
    examples = [np.array(vocabulary.encode(text), np.int64) for text in _example_texts(dataset, units)]
    origin = units[0].origin if units else None
    reads_phones = any(has_phones(text) for text in _learned_texts(experiment))
    if experiment.kind == "acoustic":
        model = Tacotron2(replace(sizes, n_mels=mel.n_mels))
        load_weights(model, run / WEIGHTS)
        facts = _facts(experiment, dataset)
        trained = TrainedAcoustic(model, vocabulary, mel, facts, speakers, origin, reads_phones)
        return export_acoustic(trained if speaker is None else trained.of_speaker(speaker), folder, precision, examples)
    parallel = ParallelAcoustic(sizes, mel)
    load_weights(parallel, run / WEIGHTS)
    facts = _facts(experiment, dataset)
    found = TrainedParallel(parallel, vocabulary, mel, facts, speakers, origin, reads_phones)
    return export_parallel(found if speaker is None else found.of_speaker(speaker), folder, precision, examples)


def _learned_texts(experiment: Any) -> Iterator[str]:
    """The training texts of all its data sets; none over units."""
    if experiment.data.symbols == "units":
        return
    for folder in experiment.data.folders:
        yield from (row["text"] for row in read_dataset(folder).rows("train") if "text" in row)


def _example_texts(dataset: Dataset, units: Sequence[UnitSymbols]) -> list[str]:
    """What a voice is to say, as its training has it: sentences, or units."""
    if units:
        return spread(list(units[0].texts("dev").values()), N_EXAMPLE_TEXTS)
    return [end_sentence(clean_text(row["text"])) for row in spread(dataset.rows("dev"), N_EXAMPLE_TEXTS)]


def _export_vocoder(experiment: Any, run: Path, folder: Path, precision: Precision) -> dict[str, Any]:
    mel = experiment.data.mel
    model = WaveGlow(replace(experiment.model, n_mels=mel.n_mels, hop_length=mel.hop_length))
    load_weights(model, run / "vocoder.safetensors")
    dataset = read_dataset(experiment.data.folder)
    trained = TrainedVocoder(model.eval(), mel, _facts(experiment, dataset), experiment.speaking_sigma)
    return export_vocoder(trained, folder, precision, _example_mels(experiment, dataset))


def _export_vocos(experiment: Any, run: Path, folder: Path, precision: Precision) -> dict[str, Any]:
    model = Vocos(experiment.sizes())
    load_weights(model, run / "vocoder.safetensors")
    dataset = read_dataset(experiment.data.folder)
    trained = TrainedVocos(model, experiment.data.mel, _facts(experiment, dataset))
    return export_vocos(trained, folder, precision, _example_mels(experiment, dataset))


def _example_mels(experiment: Any, dataset: Dataset) -> list[np.ndarray]:
    segments = VoiceSegments(dataset, sounding_rows(dataset, "dev"), experiment.data)
    chosen = spread(range(len(segments)), N_EXAMPLE_SEGMENTS)
    return list(segments.middles(chosen).mel.numpy())


def _facts(experiment: Any, dataset: Dataset) -> TrainingFacts:
    """Of the data set `dataset` and those that were learned beside it."""
    others = [read_dataset(folder) for folder in getattr(experiment.data, "folders", ())[1:]]
    return run_facts(experiment, [dataset, *others])
