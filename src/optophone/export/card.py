"""The card of a bundle: what it is, how it was made, what it reaches and what it must not be trusted with."""

from collections.abc import Mapping, Sequence
from typing import Any

from optophone.core.bundle import BundleManifest
from optophone.core.unit_origin import SECTION, unit_origin
from optophone.export.import_facts import REFERENCES

_WHAT = {
    "captioner": "Describes a photograph in one English sentence.",
    "acoustic": "Reads English text aloud: characters to mel spectrogram.",
    "captioner over units": "Describes a photograph in units of speech, which a voice over the same units says.",
    "acoustic over units": "Says what is written in units of speech: units to mel spectrogram. No text is involved.",
    "direct": "Looks at a photograph and speaks what is in it, in one network. No text is involved.",
    "vocoder": "Turns a mel spectrogram into sound.",
    "griffin-lim": "Turns a mel spectrogram into sound. It is an algorithm and has no weights.",
    "voice": "Reads English text aloud: characters to mel spectrogram to sound.",
    "encoder": "Looks at a photograph for a captioner that is imported or trained with it.",
    "system": "Looks at a photograph and speaks what is in it.",
    "textless": "Looks at a photograph and speaks what is in it, by way of units of speech. No text is involved.",
    "units": "Writes speech down in units that were learned from speech, without any text.",
    "k-means": "Writes speech down in units, each the nearest of some typical spectra.",
    "recognizer": "Writes down the words that it hears, to judge how well voices can be understood.",
}
_LIMITS = {
    "captioner": (
        "It has seen a few thousand everyday photographs, mostly of people and dogs, each with five captions. It names"
        " what it knows even where there is something else, and it invents details. It reads no text, counts badly, and"
        " knows no names. Drawings, screenshots and documents are outside of what it has learned. Do not rely on it"
        " where a mistake would harm: on medicine, roads, money or people's identity."
    ),
    "acoustic": (
        "Texts unlike those that it has learned from sound less sure. Very long or unusual input may be cut off, which"
        " it reports. It sounds like whom it has learned from: where that was a synthetic voice, synthetic."
    ),
    "direct": (
        "It has seen a few thousand everyday photographs, mostly of people and dogs, each with some spoken captions. It"
        " names what it knows even where there is something else, invents details, and may mumble. Nothing of what it"
        " says can be read, and unless it goes by way of units nobody knows how sure it is. Do not rely on it where a"
        " mistake would harm: on medicine, roads, money or people's identity."
    ),
    "vocoder": (
        "It has learned from one voice and makes others sound like it. Another mel than that of its training, such as a"
        " voice's own, it follows with its mistakes."
    ),
    "griffin-lim": "It finds a phase that fits the magnitudes, which leaves a slight metallic ring.",
    "system": "See the cards of its parts. What it says is a guess with a stated confidence, not an observation.",
    "units": (
        "Its units are no phones: one sound has several, and they change with the speaker, the microphone and whatever"
        " else is heard. Other voices than those of its training it writes down less surely. Units of one bundle mean"
        " nothing to parts that were trained with those of another."
    ),
    "recognizer": (
        "A small network that has heard few people, it errs often on people it does not know; its errors on true speech"
        " are among its figures, and what it says of a voice means something only beside them. It spells by ear. It was"
        " made to compare voices, not to take dictation."
    ),
}
_IMPORTED_LIMITS = (
    "What these weights can do, and what they must not be trusted with, those who trained them know; nothing was "
    "measured here but that the graphs compute what the weights say."
)
# Between a recording and what a voice, or a vocoder that copies, makes of it.
_DISTANCES = {
    "mel_cepstral_distortion": "mel-cepstral distortion from recordings, dB",
    "log_spectral_distance": "log-spectral distance from recordings, dB",
    "pitch_error_cents": "pitch error against recordings, cents",
    "voicing_error": "share of frames voiced in the recording alone or in the speech alone",
    "heard_word_error_rate": "word error rate of a recogniser",
    "heard_recordings_word_error_rate": "word error rate of the same recogniser on the recordings",
}
_FIGURES = {
    "bleu_1": "BLEU-1 (0 to 100)",
    "bleu_2": "BLEU-2 (0 to 100)",
    "bleu_3": "BLEU-3 (0 to 100)",
    "bleu_4": "BLEU-4 (0 to 100)",
    "cider_d": "CIDEr-D (times 100)",
    "n_distinct_captions": "different captions",
    "shuffled_bleu_4": "BLEU-4 against the captions of other pictures (control)",
    "shuffled_cider_d": "CIDEr-D against the captions of other pictures (control)",
    "word_error_ratio": "word error rate of a recogniser, relative to the same recogniser on the reference voice",
    "durations_within_25_percent": "share of utterances within 25 % of the reference voice's duration",
    "stop_failures": "utterances that had to be cut off",
    "recordings_word_error_ratio": "word error rate of a recogniser, relative to the same recogniser on recordings",
    "recordings_durations_within_25_percent": "share of utterances within 25 % of the recordings' duration",
    "recordings_stop_failures": "texts of recordings that had to be cut off",
    **_DISTANCES,
    "duration_ratio": "duration, relative to the recordings",
    "hard_pieces": "hard sentences, pieces spoken",
    "hard_stop_failures": "of these cut off",
    "hard_skips": "of these with something left out",
    "hard_repeats": "of these with something said again",
    "heard_hard_word_error_rate": "word error rate of a recogniser on hard sentences",
    **{f"copy_{name}": f"{text}, of copies" for name, text in _DISTANCES.items()},
    "copy_stoi": "intelligibility of copies of recordings (STOI, 0 to 1)",
    "copy_pesq": "quality of copies of recordings (PESQ, wide band, up to 4.6)",
    "auc": "photographs told from drawn pictures, area under the curve",
    "auc_unseen_families": "the same, kinds of pictures that the detector never saw",
    "photographs_refused": "share of photographs wrongly refused as no photographs",
    "unseen_families_refused": "share of drawn pictures of unseen kinds that are refused",
    "cider_d_surer_half": "CIDEr-D (times 100) when only the surer half is described",
    "confidence_error": "expected calibration error of the confidence",
    "used_codes": "different units that speech is written in",
    "units_per_s": "units a second, runs of one unit counted once",
    "bits_per_s_lossless": "bits a second with the lengths of runs",
    "abx_within_frames": "ABX error within a speaker, 0 to .5",
    "abx_within_shuffled": "the same of shuffled units (control)",
    "abx_across_frames": "ABX error across speakers, 0 to .5",
    "pnmi": "what units tell of phones (normalised mutual information, 0 to 1)",
    "words_with_f1_above_half": "words that one unit finds with an F1 above .5",
    "speaker_accuracy": "share of utterances whose speaker a probe tells from the units",
    "word_error_rate": "word error rate on true speech, any words",
    "character_error_rate": "character error rate on true speech, any words",
}
_MOST_SPEAKERS = 20
_ERROR_RATES = ("word_error_rate", "character_error_rate")
_COMPARISONS = {
    "difference_from_torch": "largest difference between the float32 graphs and the trained model",
    "memory_error": "relative error of what the picture leaves in memory",
    "score_error": "mean change of a symbol's log-probability, nats",
    "same_captions": "share of pictures with the same caption as in float32",
    "duration_change": "mean change of an utterance's length",
    "same_stops": "share of utterances that end as in float32",
    "mel_difference": "mean difference of the mel, ln units",
    "spectral_error": "mean difference of the sound's mel from that of float32, ln units",
    "signal_to_error_db": "power of the sound over what differs from float32, dB",
    "n_compared": "compared on so many",
    "same_units": "share of units that graph and trained model agree on",
    "n_compared_units": "units compared",
}


def write_card(manifest: BundleManifest) -> str:
    """The text of CARD.md, from the manifest alone."""
    sections = [f"# {manifest.name}", _described(_WHAT, manifest, f"A part of kind {manifest.kind}."), _facts(manifest)]
    sections += _origin(manifest.configuration.get("imported"))
    sections += _training(manifest.configuration.get("training"))
    if manifest.metrics:
        sections += ["## Figures", _list(_FIGURES, manifest.metrics)]
    sections += _confidence(manifest.configuration)
    sections += _export(manifest.configuration.get("export"))
    imported = "imported" in manifest.configuration
    sections += ["## Limits", _IMPORTED_LIMITS if imported else _described(_LIMITS, manifest, "Not stated.")]
    sections += ["## Licence", f"The bundle: {manifest.licence or 'not stated'}."]
    return "\n\n".join(sections) + "\n"


def _described(texts: Mapping[str, str], manifest: BundleManifest, otherwise: str) -> str:
    """The text of the class where it has its own, else of the kind, that over units before others."""
    names = [manifest.cls, f"{manifest.kind} over units"] if SECTION in manifest.configuration else [manifest.cls]
    return next((texts[name] for name in (*names, manifest.kind) if name in texts), otherwise)


def _facts(manifest: BundleManifest) -> str:
    lines = [f"- kind: {manifest.kind}, class `{manifest.cls}`"]
    if manifest.picture is not None:
        lines.append(f"- pictures: {manifest.picture.width} × {manifest.picture.height} pixels")
    regions = manifest.configuration.get("regions")
    if regions:
        lines.append(f"- region features instead of pictures: {regions['dim']} a region")
    if manifest.mel is not None:
        lines.append(f"- sound: {manifest.mel.sample_rate} Hz, {manifest.mel.n_mels} mel bands")
    origin = unit_origin(manifest.configuration, manifest.name)
    lines += [f"- units: those of {origin}, of {1000 * origin.unit_s:g} ms a frame"] if origin is not None else []
    speakers = manifest.configuration.get("speakers")
    lines += [f"- speakers, from 0: {_speakers(speakers)}"] if speakers else []
    lines += _spoken(manifest.configuration)
    lines += _units(manifest.configuration) if manifest.kind == "units" else []
    lines += [f"- {kind}: `{place}/`" for kind, place in manifest.parts.items()]
    return "\n".join(lines)


def _speakers(names: Sequence[str]) -> str:
    n_more = len(names) - _MOST_SPEAKERS
    return ", ".join(names[:_MOST_SPEAKERS]) + (f" and {n_more} more" if n_more > 0 else "")


def _spoken(configuration: Mapping[str, Any]) -> list[str]:
    """By what a voice says words, and how much its durations are lengthened."""
    lines, dictionary = [], configuration.get("dictionary")
    if dictionary:
        named = f"{dictionary['name']}, {dictionary['words']} words"
        lines.append(f"- pronouncing dictionary: {named}; its terms, where it has any, stand at the head of the file")
    if "pace" in configuration:
        lines.append(
            f"- pace: {configuration['pace']:g} times the durations of the network, to be as slow as recordings"
        )
    return lines


def _units(configuration: Mapping[str, Any]) -> list[str]:
    """How many units there are and how long one lasts, at each quantizer."""
    bank = configuration["bank"]
    frame_ms = 1000 * bank["hop_length"] / bank["sample_rate"]
    lines = [f"- sound: {bank['sample_rate']} Hz, {bank['n_mels']} mel bands"]
    for position, n_codes in zip(configuration.get("quantizers", ()), configuration.get("n_codes", ()), strict=True):
        lines.append(f"- quantizer {position}: {n_codes} units of {frame_ms * 2 ** (position - 1):g} ms")
    if "frames_per_unit" in configuration:
        lines.append(f"- {configuration['n_units']} units of {frame_ms * configuration['frames_per_unit']:g} ms")
    return lines


def _origin(facts: Mapping[str, Any] | None) -> list[str]:
    if not facts:
        return []
    what = REFERENCES.get(facts["reference"], facts["reference"])
    lines = [f"- imported from a checkpoint of {what}", f"- file: `{facts['file']}`, sha256 {facts['sha256']}"]
    if "encoder" in facts:
        lines.append(f"- picture encoder: `{facts['encoder']}`")
    lines.append(f"- graphs compared with the weights on {facts['examples']}")
    return ["## Origin", "\n".join(lines)]


def _training(facts: Mapping[str, Any] | None) -> list[str]:
    if not facts:
        return []
    lines = [f"- data: {facts['data']}", f"- terms of the data: {facts['data_licence']}"]
    if facts["data_options"]:
        lines.append("- prepared with: " + ", ".join(f"{key} {value}" for key, value in facts["data_options"].items()))
    lines += [f"- {facts['steps']} optimizer steps"] if facts["steps"] else []
    lines += [f"- before it {run['name']}, {run['steps']} optimizer steps" for run in facts.get("earlier", ())]
    return ["## Training", "\n".join(lines)]


def _confidence(configuration: Mapping[str, Any]) -> list[str]:
    meaning = configuration.get("export", {}).get("confidence")
    if not meaning:
        return []
    text = (
        f"The confidence is the estimated probability that {meaning['correct_means']} It was fitted on"
        f" {meaning['n_pictures']} pictures, of which {meaning['share_correct']:.0%} met this; on pictures it was not"
        f" fitted on, it was off by {meaning['expected_calibration_error']:.1%} on average."
    )
    return ["## Confidence", text]


def _export(facts: Mapping[str, Any] | None) -> list[str]:
    if not facts or "precision" not in facts:
        return []
    return [
        "## Export",
        f"Precision {facts['precision']}, checked when it was written:\n\n" + _list(_COMPARISONS, facts),
    ]


def _list(names: Mapping[str, str], values: Mapping[str, Any]) -> str:
    known = {**names, **_named_by_data(names, values)}
    lines = [f"- {known[name]}: {_figure(value)}" for name, value in values.items() if name in known]
    return "\n".join(lines)


def _named_by_data(names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, str]:
    """What the error rates of a recogniser are called that carry the name of a data set."""
    kinds = [name for name in _ERROR_RATES if name in names]
    return {
        name: f"{names[kind]}, {name.removeprefix(kind)[1:]}"
        for kind in kinds
        for name in values
        if name.startswith(f"{kind}_")
    }


def _figure(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
