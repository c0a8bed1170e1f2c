"""The work of `optophone import`: a public checkpoint, with its vocabulary and perhaps an encoder, as a bundle."""

import hashlib
import json
import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from torch import nn

from optophone.checkpoints import load_reference
from optophone.checkpoints.files import read_checkpoint, state_dict_of
from optophone.checkpoints.resdavenet_vq import AUDIO
from optophone.checkpoints.sat_encoder import GRID_SIDE, torchvision_names
from optophone.checkpoints.vocabularies import check_size, read_reference_vocabulary
from optophone.checkpoints.xlan import XLAN_SEARCH
from optophone.core.audio import read_wave
from optophone.core.bundle import Bundle, check_composition, open_bundle
from optophone.core.errors import ConfigurationError
from optophone.core.mel import MelSpec
from optophone.core.picture import PictureSpec, load_picture
from optophone.core.regions import RegionSpec, load_regions
from optophone.core.search import SearchConfig
from optophone.core.unit_filter_bank import UnitFilterBankConfig
from optophone.core.vocabulary import tacotron2_characters
from optophone.export.acoustic import TrainedAcoustic, export_acoustic
from optophone.export.captioner import TrainedCaptioner, export_captioner
from optophone.export.encoder import TrainedEncoder, export_encoder, load_encoder
from optophone.export.import_facts import ImportFacts
from optophone.export.noise import noise_mels, noise_pictures, noise_regions, noise_waves, sentences
from optophone.export.part import Additions, export_system, finish_part, is_bundle
from optophone.export.training_facts import Precision
from optophone.export.units import TrainedUnits, export_units
from optophone.export.vocoder import TrainedVocoder, export_vocoder
from optophone.models.captioners.captioner import Captioner

N_NOISE = 24
N_EXAMPLES = 60
N_CALIBRATION_PICTURES = 200
N_NOISE_FRAMES = 160
N_NOISE_WAVES = 4
N_EXAMPLE_SOUNDS = 24
_SOUNDS = (".wav", ".flac", ".ogg", ".mp3")
_MAX_CONFIG_BYTES = 2**20
# The options under which the original Tacotron 2 and WaveGlow keep the layout of its mel → ours.
_MEL_OPTIONS = {
    "sampling_rate": "sample_rate",
    "filter_length": "n_fft",
    "win_length": "win_length",
    "hop_length": "hop_length",
    "mel_fmin": "f_min",
    "mel_fmax": "f_max",
}


class CaptionerFacts(NamedTuple):
    """What is known of a reference besides its tensors.

    Args:
        decoder: its name in the family of captioners.
        search: how captions were searched for.
        picture: what its encoder is to take.
        grid: rows and columns that its encoder averages to, or None for the encoder's own.
    """

    decoder: str
    search: SearchConfig
    picture: PictureSpec
    grid: tuple[int, int] | None


CAPTIONERS = {
    "sat": CaptionerFacts(
        "show-attend-tell", SearchConfig(beam_size=5, max_length=50), PictureSpec(256, 256), (GRID_SIDE, GRID_SIDE)
    ),
    "xlan": CaptionerFacts("x-lan", XLAN_SEARCH, PictureSpec(448, 448), None),
}


class ForeignRegionsWarning(UserWarning):
    """A captioner gets another encoder than it was trained with."""


@dataclass(frozen=True)
class ImportOptions:
    """The options of `optophone import`, as its help page explains them."""

    reference: str
    checkpoint: Path
    output: Path
    vocabulary: Path | None = None
    config: Path | None = None
    encoder: Path | None = None
    precision: Precision = "fp32"
    examples: Path | None = None
    name: str | None = None
    licence: str = ""
    sigma: float = 0.666
    denoise: float = 0.01
    vocoder: Path | None = None


def run_import(options: ImportOptions) -> Iterator[str]:
    """Write the bundle; lines to print.

    Raises:
        OptophoneError: a file that cannot be used, or parts that do not go together; nothing is written.
    """
    if options.reference in CAPTIONERS and options.vocabulary is None:
        raise ConfigurationError(f"{options.reference} needs --vocabulary; see optophone import --help.")
    content = read_checkpoint(options.checkpoint, options.reference)
    additions = Additions(licence=options.licence)
    with tempfile.TemporaryDirectory(prefix="optophone-import-") as scratch:
        folder = Path(scratch)
        if options.reference == "resnet":
            measured, part = None, _import_encoder(options, content, folder / "encoder")
        else:
            load = _IMPORTS.get(options.reference, _import_captioner)
            measured, part = load(options, content, folder), folder / options.precision
        if options.vocoder is None:
            finish_part(open_bundle(part), options.output, additions, measured)
        else:
            finish_part(open_bundle(part), folder / "finished", additions, measured)
            acoustic = open_bundle(folder / "finished")
            vocoder = _vocoder_for(options, acoustic, folder / "vocoder")
            name = options.name or options.output.resolve().name
            export_system(options.output, name, [acoustic, vocoder], Additions(licence=options.licence or None))
    for key, value in (measured or {}).items():
        yield f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}"
    n_bytes = sum(path.stat().st_size for path in options.output.rglob("*") if path.is_file())
    yield f"{options.output}: written ({n_bytes / 1e6:.1f} MB)"


def _import_encoder(options: ImportOptions, content: Mapping[str, Any], folder: Path) -> Path:
    state = torchvision_names(state_dict_of(content, options.checkpoint, "encoder"))
    model: Any = load_reference("resnet", state, read_options(options.config))
    export_encoder(TrainedEncoder(model, PictureSpec(224, 224, fit="crop"), _facts(options)), folder)
    return folder


def _import_voice(options: ImportOptions, content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    config = _options_of(options, content)
    model: Any = load_reference("tacotron2", state_dict_of(content, options.checkpoint), config)
    if options.vocabulary is not None:
        vocabulary = read_reference_vocabulary("tacotron2", options.vocabulary)
    else:
        vocabulary = tacotron2_characters()
    check_size(vocabulary, model.config.n_symbols, options.vocabulary or "the public Tacotron 2's vocabulary")
    trained = TrainedAcoustic(model, vocabulary, mel_spec(config or {}, model.config.n_mels), _facts(options))
    return export_acoustic(trained, folder, options.precision, sentences(vocabulary))


def _import_vocoder(options: ImportOptions, content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    config = _options_of(options, content) or {}
    model: Any = load_reference("waveglow", state_dict_of(content, options.checkpoint), config)
    mel = replace(mel_spec(config, model.config.n_mels), hop_length=model.config.hop_length)
    trained = TrainedVocoder(model, mel, _facts(options), options.sigma, options.denoise)
    return export_vocoder(trained, folder, options.precision, noise_mels(2, mel.n_mels, N_NOISE_FRAMES))


def _import_units(options: ImportOptions, content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The half that hears alone; that of a file with both, which are told apart by the beginnings of their keys."""
    state = state_dict_of(content, options.checkpoint, "audio_model")
    hearing = {name: value for name, value in state.items() if name.removeprefix("module.").startswith(AUDIO)}
    model: Any = load_reference("resdavenet-vq", hearing or state, _options_of(options, content))
    if not model.audio.config.quantizers:
        raise ConfigurationError(f"{options.checkpoint}: has no quantizer, so it makes no units; give a ResDAVEnet-VQ.")
    bank = UnitFilterBankConfig(n_mels=model.audio.config.n_mels)
    examples = noise_waves(N_NOISE_WAVES, bank.sample_rate)
    if options.examples is not None:
        files = _spread(_files(options.examples, _SOUNDS), N_EXAMPLE_SOUNDS)
        examples = [read_wave(path, bank.sample_rate)[0] for path in files]
    return export_units(TrainedUnits(model.audio, bank, _facts(options)), folder, examples)


_IMPORTS = {"tacotron2": _import_voice, "waveglow": _import_vocoder, "resdavenet-vq": _import_units}


def _vocoder_for(options: ImportOptions, acoustic: Bundle, folder: Path) -> Bundle:
    """What `--vocoder` names, as a bundle: one it is, or a WaveGlow checkpoint whose options are the voice's."""
    path = options.vocoder
    assert path is not None
    if is_bundle(path):
        check_composition(None, acoustic, open_bundle(path))
        return open_bundle(path)
    chosen = replace(options, reference="waveglow", checkpoint=path, vocoder=None, name=path.stem)
    measured = _import_vocoder(chosen, read_checkpoint(path, "waveglow"), folder)
    finish_part(open_bundle(folder / options.precision), folder / "finished", Additions(), measured)
    return open_bundle(folder / "finished")


def _options_of(options: ImportOptions, content: Mapping[str, Any]) -> dict[str, Any] | None:
    """The original's options: of the file that was given, or else those in the checkpoint."""
    config = read_options(options.config)
    if config is None and isinstance(content.get("config"), Mapping):
        config = dict(content["config"])
    return config


def _import_captioner(options: ImportOptions, content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    assert options.vocabulary is not None
    known = CAPTIONERS[options.reference]
    vocabulary = read_reference_vocabulary(options.reference, options.vocabulary)
    state = state_dict_of(content, options.checkpoint, "decoder")
    config = read_options(options.config)
    decoder: Any = load_reference(options.reference, state, config)
    search = replace(known.search, max_length=sequence_length(config or {}, known.search.max_length))
    check_size(vocabulary, decoder.config.n_symbols, options.vocabulary)
    if vocabulary.start is None or vocabulary.end is None:
        raise ConfigurationError(f"{options.vocabulary}: a captioner's vocabulary needs a start and an end.")
    dim = decoder.config.region_dim
    encoder = _encoder(options, content, known, dim)
    facts = _facts(options, encoder is not None)
    if encoder is None:
        regions = RegionSpec(dim)
        trained = TrainedCaptioner(decoder, known.decoder, vocabulary, None, search, facts, regions)
        return export_captioner(trained, folder, options.precision, [], _region_examples(options, dim))
    model = Captioner(encoder, decoder)
    trained = TrainedCaptioner(model, known.decoder, vocabulary, known.picture, search, facts)
    examples, calibration = _picture_examples(options, known.picture)
    return export_captioner(trained, folder, options.precision, calibration, examples)


def _encoder(options: ImportOptions, content: Mapping[str, Any], known: CaptionerFacts, dim: int) -> nn.Module | None:
    """What sees for the captioner: the encoder that was asked for, or else the one in the same file, or None."""
    side = {"encoded_image_size": known.grid[0]} if known.grid else None
    path = options.encoder or options.checkpoint
    if options.encoder is None:
        if not isinstance(content.get("encoder"), Mapping):
            return None
        state = torchvision_names(state_dict_of(content, path, "encoder"))
        model: Any = load_reference("resnet", state, side)
    elif is_bundle(path):
        model = load_encoder(open_bundle(path), known.grid)
    else:
        state = torchvision_names(state_dict_of(read_checkpoint(path, "resnet"), path, "encoder"))
        model = load_reference("resnet", state, side)
    if model.config.n_features != dim:
        raise ConfigurationError(
            f"{path}: gives {model.config.n_features} features a region, but {options.checkpoint} reads {dim}."
        )
    if options.reference == "xlan":
        warnings.warn(
            "the public X-LAN was trained on the regions of a detector; with a classifier's grid it describes far "
            "worse, unless this checkpoint was trained on it",
            ForeignRegionsWarning,
            stacklevel=2,
        )
    return model


def _region_examples(options: ImportOptions, dim: int) -> list[np.ndarray]:
    if options.examples is None:
        return noise_regions(N_NOISE, dim)
    return [load_regions(path, dim) for path in _spread(_files(options.examples, (".npz", ".npy")), N_EXAMPLES)]


def _picture_examples(options: ImportOptions, picture: PictureSpec) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Pictures to compare graphs on, and others to measure ranges on."""
    if options.examples is None:
        if options.precision == "int8":
            raise ConfigurationError("int8 with an encoder needs --examples DIR: photos to measure its values on.")
        return noise_pictures(4), []
    files = _files(options.examples, (".jpg", ".jpeg", ".png", ".webp"))
    chosen = _spread(files, N_CALIBRATION_PICTURES + N_EXAMPLES)
    at_least = 3 * max(picture.height, picture.width)
    pictures = [load_picture(path, at_least=at_least) for path in chosen]
    if len(pictures) < 8:
        return pictures, pictures
    held_back = set(_spread(range(len(pictures)), min(N_EXAMPLES, len(pictures) // 4)))
    return [pictures[i] for i in sorted(held_back)], [one for i, one in enumerate(pictures) if i not in held_back]


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not found:
        raise ConfigurationError(f"{folder}: holds no examples ({', '.join(suffixes)}).")
    return found


def _spread(items: Sequence[Any], n: int) -> list[Any]:
    """About `n` of `items`, evenly spread."""
    return [items[i] for i in np.unique(np.linspace(0, len(items) - 1, min(n, len(items))).round().astype(int))]


def _facts(options: ImportOptions, has_encoder: bool = False) -> ImportFacts:
    with open(options.checkpoint, "rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    encoder = ""
    if has_encoder:
        encoder = (options.encoder or options.checkpoint).name
    examples = "a few sentences" if options.reference == "tacotron2" else "noise"
    return ImportFacts(
        name=options.name or options.output.resolve().name,
        reference=options.reference,
        file=options.checkpoint.name,
        sha256=digest,
        encoder=encoder,
        examples=examples if options.examples is None else "examples given by the user",
    )


def mel_spec(config: Mapping[str, Any], n_mels: int) -> MelSpec:
    """The layout of the mel that a Tacotron 2 or WaveGlow was trained on; its tensors tell nothing but the bands.

    Raises:
        ConfigurationError: values that no layout can have.
    """
    options = config.get("data_config", config.get("hparams", config))
    chosen = {ours: options[name] for name, ours in _MEL_OPTIONS.items() if name in options}
    if not all(isinstance(value, int | float) for value in chosen.values()):
        raise ConfigurationError(f"the mel's options must be numbers, found {chosen}.")
    return MelSpec(n_mels=n_mels, **chosen)


def sequence_length(config: Mapping[str, Any], published: int) -> int:
    """The most symbols of a caption: X-LAN's `MODEL.SEQ_LEN`, or as published where the options do not say."""
    whole = config.get("cfg", config)
    model = whole.get("MODEL", whole)
    length = model.get("SEQ_LEN", published) if isinstance(model, Mapping) else published
    if not isinstance(length, int) or not 1 <= length <= 1000:
        raise ConfigurationError(f"SEQ_LEN is {length!r}; the symbols of a caption are 1 to 1000.")
    return length


def read_options(path: Path | None) -> dict[str, Any] | None:
    """The original's options in a `.json` or YAML file; None for no file.

    Raises:
        ConfigurationError: missing, too large, or no mapping.
    """
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_CONFIG_BYTES + 1)
    except OSError as error:
        raise ConfigurationError(f"{path}: the options cannot be read ({error.strerror}).") from None
    if len(content) > _MAX_CONFIG_BYTES:
        raise ConfigurationError(f"{path}: too large for options.")
    try:
        options = json.loads(content) if path.suffix == ".json" else yaml.safe_load(content)
    except (ValueError, RecursionError, yaml.YAMLError):
        raise ConfigurationError(f"{path}: not valid {'JSON' if path.suffix == '.json' else 'YAML'}.") from None
    if not isinstance(options, dict):
        raise ConfigurationError(f"{path}: holds no options (a mapping is expected).")
    return options
