"""From the folder or the name of a bundle to parts that run."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from optophone.core.bundle import Bundle, check_composition, open_bundle
from optophone.core.configuration import check_ranges, from_mapping
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.k_means_units import KMeansUnits
from optophone.core.picture import enough_pixels
from optophone.core.protocols import AcousticModel, SpeechRecognizer, UnitEncoder, Vocoder
from optophone.core.regions import RegionSpec
from optophone.pipelines import Describer, DirectPipeline, Hedge, Pipeline, TokenPipeline, Voice, VoiceConfig
from optophone.runtime.onnx_acoustic import OnnxAcoustic
from optophone.runtime.onnx_captioner import OnnxCaptioner
from optophone.runtime.onnx_direct import JOINT, load_direct
from optophone.runtime.onnx_parallel import FRAMES_GRAPH, OnnxParallel
from optophone.runtime.onnx_recognizer import OnnxRecognizer
from optophone.runtime.onnx_units import UNITS_GRAPH, OnnxUnitEncoder
from optophone.runtime.onnx_vocoder import VOCODER_GRAPH, OnnxVocoder
from optophone.runtime.photograph_detector import PHOTOGRAPH_FILE, NumpyPhotographDetector
from optophone.runtime.session import resolve_threads

EMBEDDED = Path(__file__).resolve().parents[1] / "bundles"
DEFAULT = "default"
K_MEANS = "k-means"  # class of unit bundles that have centres in place of a graph
K_MEANS_FILE = "k-means.npz"
_VOICE_RANGES: dict[str, tuple[float, float]] = {
    "max_characters": (1, 100_000),
    "sentence_silence_s": (0, 60),
    "variant_silence_s": (0, 60),
    "volume": (0, 100),
}


def load(bundle: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Pipeline:
    """A picture-to-speech pipeline; see `optophone.load`."""
    system = open_speaking(bundle)
    if direct_part(system) is not None:
        return _direct_pipeline(system, threads)
    captioner, acoustic, vocoder = (open_part(system, kind) for kind in ("captioner", "acoustic", "vocoder"))
    check_composition(captioner, acoustic, vocoder)
    return TokenPipeline(describer_of(system, captioner, threads), voice_of(system, acoustic, vocoder, threads))


def load_describer(bundle: str | os.PathLike[str] | None = None, *, threads: int | None = None) -> Describer:
    """The captioner alone, from a system bundle or a bundle of kind "captioner", or that inside a direct model.

    Raises:
        BundleError: something is missing or damaged, or the direct model has no captioner inside.
    """
    opened = open_bundle(find_bundle(bundle))
    return describer_of(opened, captioner_part(opened), threads)


def load_voice(
    bundle: str | os.PathLike[str] | None = None,
    *,
    vocoder: str | os.PathLike[str] | None = None,
    threads: int | None = None,
) -> Voice:
    """The acoustic model and its vocoder alone, from a system bundle; from an acoustic bundle with Griffin-Lim.

    Args:
        bundle: a folder, the name of an embedded bundle, or None for the default. Of a direct model that goes by way of
            units, the voice inside.
        vocoder: a vocoder's bundle, or a system's, to take instead.
        threads: of the larger graphs; None takes the cores, at most 4.

    Raises:
        BundleError: something is missing or damaged, or the two parts' mels differ; both are named.
    """
    opened = open_bundle(find_bundle(bundle))
    acoustic = _voice_part(opened)
    if vocoder is not None:
        chosen = _open_vocoder(find_bundle(vocoder))
    elif opened is acoustic:
        model = load_acoustic(acoustic, threads)
        return Voice(model, GriffinLim(model.mel_spec), _voice_config(opened))
    else:
        chosen = open_part(opened, "vocoder")
    check_composition(None, acoustic, chosen)
    return voice_of(opened, acoustic, chosen, threads)


def captioner_part(opened: Bundle) -> Bundle:
    """What writes, of a bundle: itself, a part of the system that it is, or a direct model that goes by way of units.

    Raises:
        BundleError: nothing does.
    """
    direct = direct_part(opened)
    if direct is not None:
        return _with_units(direct, "writes nothing down")
    return opened if opened.manifest.kind == "captioner" else open_part(_as_system(opened), "captioner")


def _voice_part(opened: Bundle) -> Bundle:
    direct = direct_part(opened)
    if direct is not None:
        return _with_units(direct, "reads nothing but pictures")
    return opened if opened.manifest.kind == "acoustic" else open_part(_as_system(opened), "acoustic")


def open_speaking(bundle: str | os.PathLike[str] | None = None) -> Bundle:
    """Open what speaks about pictures: a system, or a direct model alone; a folder, a name, or None for the default.

    Raises:
        BundleError: there is none, it is damaged, or it is a single part that does not speak about pictures.
    """
    opened = open_bundle(find_bundle(bundle))
    return opened if opened.manifest.kind == "direct" else _as_system(opened)


def direct_part(opened: Bundle) -> Bundle | None:
    """The direct model that a bundle is, or that a system has for a part; else None."""
    if opened.manifest.kind == "direct":
        return opened
    return open_part(opened, "direct") if "direct" in opened.manifest.parts else None


def _with_units(direct: Bundle, otherwise: str) -> Bundle:
    """A direct model that has a captioner over units and a voice over them inside."""
    if direct.manifest.cls != JOINT:
        raise BundleError(f"{direct.folder}: this direct model {otherwise}; use it with optophone speak.")
    return direct


def _direct_pipeline(opened: Bundle, threads: int | None) -> DirectPipeline:
    """A direct model with the vocoder of its system, or with Griffin-Lim."""
    part = direct_part(opened)
    assert part is not None
    model = load_direct(part, threads)
    vocoder: Vocoder = GriffinLim(model.mel_spec)
    if opened is not part:
        chosen = open_part(opened, "vocoder")
        check_composition(None, part, chosen)
        vocoder = load_vocoder(chosen, threads)
    assert part.manifest.picture is not None
    return DirectPipeline(
        model, vocoder, _voice_config(opened), enough_pixels(part.manifest.picture), photograph_detector(part)
    )


def photograph_detector(part: Bundle) -> NumpyPhotographDetector | None:
    """The detector of photographs in a bundle; None where it has none."""
    return NumpyPhotographDetector(part.file(PHOTOGRAPH_FILE)) if PHOTOGRAPH_FILE in part.manifest.files else None


def open_system(bundle: str | os.PathLike[str] | None = None) -> Bundle:
    """Open a system bundle: a folder, the name of an embedded bundle, or None for the default.

    Raises:
        BundleError: there is none, it is damaged, or it is a single part.
    """
    return _as_system(open_bundle(find_bundle(bundle)))


def describer_of(system: Bundle, part: Bundle, threads: int | None = None) -> Describer:
    """A captioner with its search and words of doubt; the system's own words of doubt come before the part's."""
    captioner = OnnxCaptioner(part, resolve_threads(threads))
    rows = system.manifest.configuration.get("hedge", part.manifest.configuration.get("hedge", ()))
    if not isinstance(rows, Sequence) or isinstance(rows, str):
        raise BundleError(f"{part.folder}: configuration.hedge is no list of words of doubt; export the bundle again.")
    hedges = [from_mapping(Hedge, row, f"{part.folder}: configuration.hedge") for row in rows]
    if isinstance(captioner.takes, RegionSpec):
        return Describer(captioner, captioner.search, hedges, regions=captioner.takes)
    at_least, detector = enough_pixels(captioner.picture_spec), photograph_detector(part)
    return Describer(captioner, captioner.search, hedges, at_least, detector=detector)


def voice_of(system: Bundle, acoustic: Bundle, vocoder: Bundle, threads: int | None = None) -> Voice:
    """An acoustic model with its vocoder, and the system's options for both."""
    model = load_acoustic(acoustic, threads)
    return Voice(model, load_vocoder(vocoder, threads), _voice_config(system))


def load_acoustic(bundle: Bundle, threads: int | None = None) -> AcousticModel:
    """The acoustic model of a bundle: one that makes all frames at once where it has the graph for it.

    Raises:
        BundleError: a graph, the vocabulary or the mel specification is missing or not as documented.
    """
    if FRAMES_GRAPH in bundle.manifest.files:
        return OnnxParallel(bundle, resolve_threads(threads))
    return OnnxAcoustic(bundle, resolve_threads(threads))


def load_vocoder(bundle: Bundle, threads: int | None = None) -> Vocoder:
    """The vocoder of a bundle: its graph where it has one, whatever its class; else the algorithm of its class.

    Raises:
        BundleError: a class this version does not know, a graph that is none of a vocoder, or no mel specification.
    """
    if VOCODER_GRAPH in bundle.manifest.files:
        return OnnxVocoder(bundle, resolve_threads(threads))
    build = _VOCODERS.get(bundle.manifest.cls)
    if build is None:
        known = ", ".join(_VOCODERS)
        raise BundleError(f"{bundle.folder}: unknown vocoder {bundle.manifest.cls!r}; this version knows: {known}.")
    return build(bundle)


def load_unit_encoder(
    bundle: str | os.PathLike[str] | Bundle, *, quantizer: int | None = None, threads: int | None = None
) -> UnitEncoder:
    """Speech to units, from a bundle of kind "units".

    Args:
        bundle: a folder, the name of an embedded bundle, or one that is open.
        quantizer: position whose units are wanted, where a network has several; None for its last.
        threads: of the graph; None takes the cores, at most 4.

    Raises:
        BundleError: something is missing or damaged, or the bundle is of another kind.
        ConfigurationError: there is no such quantizer.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(find_bundle(bundle))
    if opened.manifest.kind != "units":
        raise BundleError(
            f"{opened.folder}: units of speech are needed here, but this is of kind {opened.manifest.kind}."
        )
    if UNITS_GRAPH in opened.manifest.files:
        return OnnxUnitEncoder(opened, quantizer, resolve_threads(threads))
    if opened.manifest.cls != K_MEANS:
        known = f"{K_MEANS}, or any with {UNITS_GRAPH}"
        raise BundleError(f"{opened.folder}: unknown units {opened.manifest.cls!r}; this version knows: {known}.")
    if quantizer is not None:
        raise ConfigurationError(f"{opened.folder}: k-means has no quantizers to choose from; leave --quantizer out.")
    units = KMeansUnits.load(opened.file(K_MEANS_FILE))
    if units.vocabulary != opened.vocabulary():
        raise BundleError(f"{opened.folder}: its vocabulary does not fit its centres; export the bundle again.")
    return units


def load_recognizer(
    bundle: str | os.PathLike[str] | Bundle,
    sentences: Sequence[Sequence[str]] = (),
    *,
    order: int = 1,
    threads: int | None = None,
) -> SpeechRecognizer:
    """Speech to words, from a bundle of kind "recognizer".

    Args:
        bundle: a folder, the name of an embedded bundle, or one that is open.
        sentences: what may be said, as `spoken_words` gives it; with none, anything.
        order: of the n-grams that are counted in `sentences`: 1 knows only the words.
        threads: of the graph; None takes the cores, at most 4.

    Raises:
        BundleError: something is missing or damaged, or the bundle is of another kind.
    """
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(find_bundle(bundle))
    if opened.manifest.kind != "recognizer":
        raise BundleError(f"{opened.folder}: a recogniser is needed here, but this is of kind {opened.manifest.kind}.")
    return OnnxRecognizer(opened, sentences, order, resolve_threads(threads))


def open_part(system: Bundle, kind: str) -> Bundle:
    """Open the part of a system bundle that is its captioner, acoustic model or vocoder.

    Raises:
        BundleError: the system names no such part, or the folder holds a part of another kind.
    """
    part = open_bundle(system.part(kind))
    if part.manifest.kind != kind:
        raise BundleError(
            f"{part.folder}: the system's {kind} should be here, but this is of kind {part.manifest.kind}."
        )
    return part


def find_bundle(bundle: str | os.PathLike[str] | None) -> Path:
    """The folder of a bundle given as path, as the name of an embedded one, or as None for the default.

    Raises:
        BundleError: there is no such folder or name.
    """
    if bundle is None:
        bundle = DEFAULT
    path = Path(bundle)
    if os.path.isdir(path):
        return path
    embedded = EMBEDDED / path
    if len(path.parts) == 1 and path.name != ".." and (embedded / "bundle.json").is_file():
        return embedded
    if os.fspath(bundle) == DEFAULT:
        raise BundleError("this installation has no embedded model; give a bundle's folder (-m FOLDER).")
    raise BundleError(f"{bundle}: no bundle of this name or folder; `optophone models` lists the embedded ones.")


def embedded_bundles() -> list[Path]:
    """Folders of all bundles that come with the package, parts included, in the order of their names."""
    return sorted(path.parent for path in EMBEDDED.rglob("bundle.json"))


def _open_vocoder(folder: Path) -> Bundle:
    opened = open_bundle(folder)
    if opened.manifest.kind == "system":
        return open_part(opened, "vocoder")
    if opened.manifest.kind != "vocoder":
        raise BundleError(f"{folder}: a vocoder is needed here, but this is of kind {opened.manifest.kind}.")
    return opened


def _as_system(opened: Bundle) -> Bundle:
    if opened.manifest.kind != "system":
        raise BundleError(f"{opened.folder}: this is a {opened.manifest.kind} alone; a system bundle is needed here.")
    return opened


def _voice_config(bundle: Bundle) -> VoiceConfig:
    where = f"{bundle.folder}: configuration.voice"
    config = from_mapping(VoiceConfig, bundle.manifest.configuration.get("voice", {}), where)
    check_ranges(config, _VOICE_RANGES, where)
    return config


def _build_griffin_lim(bundle: Bundle) -> GriffinLim:
    config = from_mapping(GriffinLimConfig, bundle.manifest.configuration, f"{bundle.folder}: configuration")
    return GriffinLim(bundle.mel_spec(), config)


_VOCODERS: dict[str, Callable[[Bundle], Vocoder]] = {GriffinLim.name: _build_griffin_lim}
