"""Finished bundles: a checked part with its results, confidence and card, and several parts as a system."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from optophone.core.bundle import (
    MANIFEST,
    VOCABULARY,
    Bundle,
    BundleKind,
    BundleManifest,
    BundleWriter,
    check_composition,
    open_bundle,
)
from optophone.core.confidence import ConfidenceConfig
from optophone.core.configuration import to_mapping
from optophone.core.errors import ConfigurationError
from optophone.core.griffin_lim import GriffinLim, GriffinLimConfig
from optophone.core.mel import MelSpec
from optophone.core.pronunciations import PRONUNCIATIONS_FILE, Pronunciations
from optophone.export.card import write_card
from optophone.export.results import CARD, Result, content_hash
from optophone.runtime.onnx_parallel import LEAST_PACE, MOST_PACE
from optophone.runtime.photograph_detector import PHOTOGRAPH_FILE, NumpyPhotographDetector

# Said before a caption whose calibrated confidence is below; the lowest that fits is taken.
HEDGES = ({"below": 0.2, "say": "I am not sure, but perhaps: "}, {"below": 0.4, "say": "Probably: "})
_SYSTEM_PARTS: tuple[BundleKind, ...] = ("captioner", "acoustic", "direct", "vocoder")


@dataclass(frozen=True)
class Additions:
    """What is added to a part when it is finished.

    Args:
        results: of evaluations; each goes to the part that was evaluated.
        confidence: the result whose calibration the captioner takes, or None.
        licence: of the bundle, SPDX name; None keeps what it has.
        name: None keeps what it has.
        photograph: the detector of photographs that a captioner of pictures or a direct model takes; None to keep what
            it has.
        pronunciations: the dictionary that an acoustic model of letters and phones takes; None to keep what it has.
        pace: the result beside recordings whose lengths a parallel acoustic model takes, or None.
    """

    results: Sequence[Result] = ()
    confidence: Result | None = None
    licence: str | None = None
    name: str | None = None
    photograph: Path | None = None
    pronunciations: Pronunciations | None = None
    pace: Result | None = None


def finish_part(part: Bundle, folder: Path, additions: Additions, measured: Mapping[str, Any] | None = None) -> None:
    """Write the bundle `folder`: the files of `part` as they are, with results, confidence and a new card.

    Args:
        part: an opened bundle that is no system.
        folder: the bundle to write.
        additions: what is added; results of other bundles are left out. A pace or a dictionary change what is said, so
            that earlier results do not hold any more and are left out too.
        measured: what the export measured; None keeps what the part says.
    """
    old = part.manifest
    content = content_hash(old)
    configuration = dict(old.configuration)
    if measured is not None:
        configuration["export"] = dict(measured)
    pronunciations = additions.pronunciations if reads_phones_and_letters(part) else None
    says_otherwise = _change_speech(configuration, pronunciations, additions.pace, content)
    metrics = {} if says_otherwise else _measured(old, additions.results, content)
    sees = old.kind in ("captioner", "direct") and old.picture is not None
    detector = additions.photograph if sees else None
    if detector is not None:
        NumpyPhotographDetector(detector)  # refuses what the runtime could not read
    chosen = additions.confidence
    if chosen is not None and chosen.content == content:
        _add_confidence(configuration, metrics, chosen)
    manifest = replace(
        old,
        name=additions.name or old.name,
        licence=old.licence if additions.licence is None else additions.licence,
        configuration=configuration,
        metrics=metrics,
    )
    with _writer(folder, manifest, part) as writer:
        for name in old.files:
            if name not in (CARD, VOCABULARY):
                shutil.copyfile(part.file(name), writer.path(name))
        if detector is not None:
            shutil.copyfile(detector, writer.path(PHOTOGRAPH_FILE))
        if pronunciations is not None:
            writer.path(PRONUNCIATIONS_FILE).write_bytes(pronunciations.content)
        writer.path(CARD).write_text(write_card(manifest), encoding="utf-8")


def _change_speech(
    configuration: dict[str, Any], pronunciations: Pronunciations | None, pace: Result | None, content: str
) -> bool:
    """Write into `configuration` by what a voice speaks from now on; whether that changes anything."""
    if pronunciations is not None:
        configuration["dictionary"] = {"name": pronunciations.name, "words": pronunciations.n_words}
    if pace is not None and pace.content == content:
        configuration["pace"] = _pace(configuration, pace)
        return True
    return pronunciations is not None


def _measured(old: BundleManifest, results: Sequence[Result], content: str) -> dict[str, Any]:
    """What is known of a part: what it carries, and what `results` found with it."""
    metrics = dict(old.metrics)
    for result in results:
        if result.content == content:
            metrics.update(result.metrics())
    return metrics


def export_griffin_lim(mel: MelSpec, folder: Path, licence: str = "") -> None:
    """Write the vocoder that has no weights as the bundle `folder`."""
    configuration = to_mapping(GriffinLimConfig())
    name = GriffinLim.name
    manifest = BundleManifest("vocoder", name, name, configuration, mel=mel, licence=licence)
    with _writer(folder, manifest, None) as writer:
        writer.path(CARD).write_text(write_card(manifest), encoding="utf-8")


def export_system(folder: Path, name: str, parts: Sequence[Bundle], additions: Additions) -> None:
    """Write an acoustic model with a captioner, a vocoder or both as one system; Griffin-Lim where no vocoder is given.

    Without a captioner it is a voice, which says texts but describes no photos. A direct model and a vocoder are a
    system too.

    Raises:
        ConfigurationError: a kind is missing or comes twice.
        BundleError: the parts do not go together.
    """
    by_kind = {part.manifest.kind: part for part in parts}
    surplus = [part.manifest.kind for part in parts if part.manifest.kind not in _SYSTEM_PARTS]
    is_direct = by_kind.keys() == {"direct", "vocoder"}
    is_spoken = "acoustic" in by_kind and "direct" not in by_kind
    if surplus or not (is_direct or is_spoken) or len(by_kind) < len(parts) or len(parts) < 2:
        given = ", ".join(part.manifest.kind for part in parts)
        raise ConfigurationError(
            "a system needs one captioner and one acoustic model, perhaps with one vocoder, or one direct model and "
            f"one vocoder; a voice one acoustic model and one vocoder; given: {given}."
        )
    acoustic = by_kind["direct" if is_direct else "acoustic"]
    check_composition(by_kind.get("captioner"), acoustic, by_kind.get("vocoder"))
    assert acoustic.manifest.mel is not None
    licence = acoustic.manifest.licence if additions.licence is None else additions.licence
    kinds: dict[str, str] = {kind: kind for kind in _SYSTEM_PARTS if kind in by_kind or kind == "vocoder"}
    cls = _system_class(by_kind)
    manifest = BundleManifest("system", cls, name, parts=kinds, licence=licence)
    with _writer(folder, manifest, None) as writer:
        for part in parts:
            finish_part(part, writer.path(part.manifest.kind), replace(additions, name=None))
        if "vocoder" not in by_kind:
            export_griffin_lim(acoustic.manifest.mel, writer.path("vocoder"), licence)
        written = [open_bundle(writer.path(kind)).manifest for kind in kinds]
        writer.metrics = {name: value for part in written for name, value in part.metrics.items()}
        card = write_card(replace(manifest, metrics=writer.metrics))
        writer.path(CARD).write_text(card, encoding="utf-8")


def reads_phones_and_letters(part: Bundle) -> bool:
    """Whether `part` is a voice that has learned phones in braces among letters."""
    if part.manifest.kind != "acoustic" or part.manifest.configuration.get("reads_phones") is False:
        return False
    return part.vocabulary().reads_phones


def check_pronunciations(parts: Sequence[Bundle], additions: Additions) -> None:
    """Refuse a pronouncing dictionary that no part could use.

    Raises:
        ConfigurationError: no voice that reads phones is among `parts`.
    """
    if additions.pronunciations is not None and not any(map(reads_phones_and_letters, parts)):
        raise ConfigurationError(
            "--pronunciations is for a voice that has learned phones beside letters (docs/datasets/phones.md); none is "
            "given."
        )


def check_results(parts: Sequence[Bundle], additions: Additions) -> None:
    """Refuse results that were found with something else than these parts.

    Raises:
        ConfigurationError: a result of another bundle, a confidence without calibration, or a pace without recordings.
    """
    contents = {content_hash(part.manifest) for part in parts}
    for result in (*additions.results, *filter(None, [additions.confidence, additions.pace])):
        if result.content not in contents:
            raise ConfigurationError(f"{result.path}: found with another bundle than this one; evaluate this one.")
    if additions.confidence is not None and additions.confidence.calibration is None:
        raise ConfigurationError(
            f"{additions.confidence.path}: has no calibration; evaluate captions with --calibrate."
        )
    if additions.pace is not None:
        _check_pace(parts, additions.pace)


def _check_pace(parts: Sequence[Bundle], pace: Result) -> None:
    paced = next(part.manifest for part in parts if content_hash(part.manifest) == pace.content)
    if not pace.length or not LEAST_PACE <= _pace(paced.configuration, pace) <= MOST_PACE:
        raise ConfigurationError(f"{pace.path}: tells no pace; evaluate voice beside recordings of its speaker.")
    if paced.cls != "parallel":
        raise ConfigurationError(f"{paced.name}: is no parallel acoustic model, which alone takes a pace.")


def _pace(configuration: Mapping[str, Any], result: Result) -> float:
    """What a voice's durations are to be multiplied by, so that its utterances are as long as people's."""
    assert result.length
    return round(float(configuration.get("pace", 1.0)) / result.length, 3)


def is_bundle(folder: Path) -> bool:
    """Whether `folder` looks like a finished bundle."""
    return (folder / MANIFEST).is_file()


def _system_class(by_kind: Mapping[BundleKind, Bundle]) -> str:
    """ "cascade" by way of text, "textless" by way of units, "voice" without a captioner, "direct" in one network."""
    if "direct" in by_kind:
        return "direct"
    if "captioner" not in by_kind:
        return "voice"
    return "textless" if by_kind["captioner"].vocabulary().kind == "units" else "cascade"


def _add_confidence(configuration: dict[str, Any], metrics: dict[str, Any], result: Result) -> None:
    assert result.calibration is not None
    facts = dict(result.calibration)
    names = [name for name in ConfidenceConfig.__dataclass_fields__ if name in facts]
    configuration["confidence"] = {name: facts.pop(name) for name in names}
    configuration["export"] = {**configuration.get("export", {}), "confidence": facts}
    configuration.setdefault("hedge", [dict(hedge) for hedge in HEDGES])
    metrics["confidence_error"] = round(facts["expected_calibration_error"], 3)


def _writer(folder: Path, manifest: BundleManifest, part: Bundle | None) -> BundleWriter:
    return BundleWriter(
        folder,
        kind=manifest.kind,
        cls=manifest.cls,
        name=manifest.name,
        configuration=manifest.configuration,
        vocabulary=part.vocabulary() if part is not None and manifest.vocabulary_hash else None,
        mel=manifest.mel,
        picture=manifest.picture,
        data_manifest_hash=manifest.data_manifest_hash,
        metrics=manifest.metrics,
        licence=manifest.licence,
        parts=manifest.parts,
    )
