"""Other people's parts in the place of a bundle's: "transformers:PATH", "piper:voice.onnx", "espeak:en-gb".

What the command line, the server and `optophone.load` load goes through here.
"""

import os
import re
from dataclasses import fields
from pathlib import Path

from optophone.core.errors import ConfigurationError
from optophone.core.protocols import Captioner, Synthesizer, UnitEncoder
from optophone.pipelines import Describer, Pipeline, TextVoice, TokenPipeline, Voice
from optophone.runtime import load as bundles

BundleName = str | os.PathLike[str]
_SPEECH_MODEL = re.compile(r"hubert:(?P<model>.+),layer=(?P<layer>[0-9]{1,3}),centres=(?P<centres>.+)")

OwnCaptioner = BundleName | Captioner
OwnVoice = BundleName | Voice | TextVoice | Synthesizer


def load(
    bundle: BundleName | None = None,
    *,
    captioner: OwnCaptioner | None = None,
    voice: OwnVoice | None = None,
    threads: int | None = None,
) -> Pipeline:
    """A picture-to-speech pipeline; see `optophone.load`."""
    if captioner is None and voice is None:
        return bundles.load(bundle, threads=threads)
    if bundle is not None and captioner is not None and voice is not None:
        raise ConfigurationError(f"{bundle}: with a captioner and a voice of your own there is no use for a model.")
    return TokenPipeline(
        load_describer(bundle, captioner=captioner, threads=threads), load_voice(bundle, voice=voice, threads=threads)
    )


def load_describer(
    bundle: BundleName | None = None, *, captioner: OwnCaptioner | None = None, threads: int | None = None
) -> Describer:
    """Picture → descriptions, by `captioner` where it is given, else by that of the bundle.

    Args:
        bundle: as for `optophone.load`.
        captioner: "transformers:FOLDER", "transformers:NAME" or "transformers:NAME@REVISION" on the hub; a bundle; or
            any `Captioner`.
        threads: None takes the cores, at most 4.

    Raises:
        OptophoneError: the part is missing, damaged, or none of the kinds that are known.
    """
    if captioner is None:
        return bundles.load_describer(bundle, threads=threads)
    if not isinstance(captioner, str | os.PathLike):
        return Describer(captioner, getattr(captioner, "search", None))
    kind, rest = _split(captioner)
    if kind is None:
        return bundles.load_describer(captioner, threads=threads)
    if kind != "transformers":
        raise ConfigurationError(f"{captioner}: no captioner; give transformers:FOLDER, or a bundle.")
    return _transformers_describer(rest, threads)


def load_voice(
    bundle: BundleName | None = None,
    *,
    voice: OwnVoice | None = None,
    vocoder: BundleName | None = None,
    threads: int | None = None,
) -> Voice | TextVoice:
    """Text → speech, by `voice` where it is given, else by that of the bundle.

    Args:
        bundle: as for `optophone.load`.
        voice: "piper:FILE.onnx", with ",noise_scale=0.3,length_scale=1.2,noise_w=0.5" after it where they are to
            differ from the voice's own; "espeak", "espeak:VOICE", "espeak:VOICE:SPEED:PITCH"; a bundle; or a voice.
        vocoder: of a bundle's voice, see `runtime.load.load_voice`.
        threads: None takes the cores, at most 4.

    Raises:
        OptophoneError: the part is missing, damaged, or none of the kinds that are known.
    """
    if voice is None:
        return bundles.load_voice(bundle, vocoder=vocoder, threads=threads)
    if isinstance(voice, str | os.PathLike):
        kind, rest = _split(voice)
        if kind is None:
            return bundles.load_voice(voice, vocoder=vocoder, threads=threads)
        loaded: Voice | TextVoice = TextVoice(_synthesizer(kind, rest, voice, threads))
    else:
        loaded = voice if isinstance(voice, Voice | TextVoice) else TextVoice(voice)
    if vocoder is not None:
        raise ConfigurationError(f"{vocoder}: only a bundle's voice takes another vocoder; leave it out.")
    return loaded


def load_unit_encoder(bundle: BundleName, *, quantizer: int | None = None, threads: int | None = None) -> UnitEncoder:
    """Speech to units: of a bundle, see `runtime.load.load_unit_encoder`, or of a speech model of transformers.

    Args:
        bundle: the folder or the name of a bundle; or "hubert:FOLDER,layer=6,centres=FILE.npy", where in the place of
            the folder may stand a name on the hub, and the model may be a wav2vec 2.0 or a WavLM.
        quantizer: of a bundle.
        threads: of a bundle's graph.

    Raises:
        OptophoneError: the part is missing, damaged, or described wrongly.
    """
    text = os.fspath(bundle)
    if not is_speech_model(text):
        return bundles.load_unit_encoder(bundle, quantizer=quantizer, threads=threads)
    from optophone.adapters.speech_model_units import SpeechModelUnits

    match = _SPEECH_MODEL.fullmatch(text)
    if match is None or quantizer is not None:
        raise ConfigurationError(f"{text}: expected hubert:FOLDER,layer=6,centres=FILE.npy, and no quantizer.")
    return SpeechModelUnits(match["model"], int(match["layer"]), match["centres"])


def is_speech_model(bundle: BundleName) -> bool:
    """Whether these are units of a speech model of transformers, no bundle's."""
    return os.fspath(bundle).startswith("hubert:") and not os.path.isdir(bundle)


def name_of(bundle: BundleName | None, captioner: BundleName | None) -> str:
    """What a server calls what it serves: the name of the captioner's bundle, or of its folder."""
    if captioner is not None:
        kind, rest = _split(captioner)
        if kind is not None:
            return Path(rest).name or rest
        bundle = captioner
    opened = bundles.open_bundle(bundles.find_bundle(bundle))
    return opened.manifest.name or opened.folder.name


def _split(part: BundleName) -> tuple[str | None, str]:
    """Kind and the rest; no kind where it is a bundle. A folder named so is a bundle, whatever its name."""
    kind, colon, rest = os.fspath(part).partition(":")
    if os.path.isdir(part) or kind not in ("transformers", "piper", "espeak") or not (colon or kind == "espeak"):
        return None, os.fspath(part)
    return kind, rest


def _transformers_describer(place: str, threads: int | None) -> Describer:
    from optophone.adapters.transformers_captioner import TransformersCaptioner

    if not place:
        raise ConfigurationError("transformers: give the folder or the name of a captioner, transformers:FOLDER.")
    name, _, revision = (place, "", "") if os.path.isdir(place) else place.partition("@")
    captioner = TransformersCaptioner(name, revision or None)
    if threads is not None:
        import torch

        torch.set_num_threads(threads)
    return Describer(captioner, captioner.search, at_least=captioner.at_least)


def _synthesizer(kind: str, rest: str, voice: BundleName, threads: int | None) -> Synthesizer:
    if kind == "espeak":
        from optophone.adapters.espeak import EspeakVoice
        from optophone.core.espeak import EspeakConfig, read_voice

        return EspeakVoice(read_voice(rest) if rest else EspeakConfig())
    if kind != "piper" or not rest:
        raise ConfigurationError(f"{voice}: no voice; give piper:FILE.onnx, espeak:VOICE, or a bundle.")
    return _piper_voice(rest, threads)


def _piper_voice(rest: str, threads: int | None) -> Synthesizer:
    from optophone.adapters.piper import PiperVoice
    from optophone.adapters.piper_config import PiperConfig
    from optophone.runtime.session import resolve_threads

    path, scales = rest, ""
    if not os.path.exists(rest):  # a comma may be part of a name
        path, _, scales = rest.partition(".onnx,")
        path += ".onnx" if scales else ""
    chosen: dict[str, float] = {}
    known = [one.name for one in fields(PiperConfig)]
    for setting in filter(None, scales.split(",")):
        name, _, value = setting.partition("=")
        try:
            chosen[name.strip().replace("-", "_")] = float(value)
        except ValueError:
            raise ConfigurationError(f"piper: {setting!r}: expected a number, as in noise_scale=0.5.") from None
    for name in chosen:
        if name not in known:
            raise ConfigurationError(f"piper: unknown setting {name!r}; known are {', '.join(known)}.")
    return PiperVoice(path, PiperConfig(**chosen), resolve_threads(threads))
