"""The work of `optophone evaluate units`."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from optophone.cli.caption_evaluation import data_facts, draw
from optophone.cli.progress import Progress
from optophone.core.audio import resample
from optophone.core.bundle import open_bundle
from optophone.core.errors import DataError
from optophone.core.k_means_units import KMeansUnits
from optophone.core.mel import log_mel
from optophone.core.spans import SpokenSpans
from optophone.data.alignment_column import read_alignment_column
from optophone.data.manifest import Row, read_dataset
from optophone.data.unit_extraction import refuse_silence
from optophone.evaluation.abx import ABXConfig, Speakers
from optophone.evaluation.report import command_line, table, write_result
from optophone.evaluation.unit_quality import MEL, HeardUtterance, UnitQuality, UnitQualityConfig
from optophone.export.results import content_hash
from optophone.runtime.load import find_bundle, load_unit_encoder

T = TypeVar("T")
_SPEAKERS: tuple[Speakers, ...] = ("within", "across")
_ABX_ROWS = {
    "frames": "units, same or another",
    "vectors": "units, angles of their codes",
    "collapsed": "units, collapsed, edits",
    "mel": "log-mel, angles",
    "shuffled": "units of any other place",
}
_NO_ALIGNMENTS = "give --alignments"
_N_WORDS = 15


@dataclass(frozen=True)
class UnitEvaluationOptions:
    """The options of `optophone evaluate units`, as its help page explains them."""

    alignments: Path | None
    quantizer: int | None
    split: str
    limit: int | None
    triples: int
    quiet: bool


class UnitEvaluation:
    """Recordings of a data set in the units of a bundle, judged.

    Args:
        bundle: folder or name of a bundle of kind "units".
        dataset: folder of a prepared speech data set.
        options: how.

    Raises:
        DataError: the split has no recordings, or the alignments have none of them.
        BundleError: there is no such bundle, or it is of another kind.
    """

    def __init__(self, bundle: str, dataset: Path, options: UnitEvaluationOptions) -> None:
        opened = open_bundle(find_bundle(bundle))
        self.manifest, self.options = opened.manifest, options
        self.encoder = load_unit_encoder(opened, quantizer=options.quantizer, threads=1)
        # Whatever comes before the units in the vocabulary is no unit.
        specials = (self.encoder.vocabulary.pad, self.encoder.vocabulary.start, self.encoder.vocabulary.end)
        self.first_unit = max((place for place in specials if place is not None), default=-1) + 1
        self.dataset = read_dataset(dataset)
        rows = [row for row in self.dataset.rows(options.split) if "audio" in row]
        if not rows:
            raise DataError(f"{dataset}: {options.split} has no recordings; give a speech data set.")
        self.spans: Mapping[str, SpokenSpans] = {}
        self.alignments: dict[str, Any] | None = None
        if options.alignments is not None:
            rows = self._aligned(rows, options.alignments)
        self.rows = draw(rows, options.limit)
        self.missing: dict[str, str] = {}  # figure → why it was not measured

    def run(self, output: str | None) -> str:
        """Hear, judge, write `output` if given; returns the tables."""
        found = self._measure(
            UnitQuality(
                self._hear(),
                len(self.encoder.vocabulary) - self.first_unit,
                self.encoder.unit_s,
                self.encoder.centres if isinstance(self.encoder, KMeansUnits) else None,
                UnitQualityConfig(ABXConfig(self.options.triples)),
            )
        )
        if output:
            write_result(output, self._result(found))
        return "\n\n".join(self._tables(found))

    def _aligned(self, rows: list[Row], folder: Path) -> list[Row]:
        column = read_alignment_column(folder)
        column.check_speech(self.dataset)
        self.spans = column.spans(self.options.split)
        aligned = [row for row in rows if row["id"] in self.spans]
        if not aligned:
            raise DataError(f"{folder}: has no alignments of {self.options.split}; make them of this split.")
        self.alignments = {
            "hash": column.dataset.hash(),
            "aligner": column.dataset.options.get("aligner"),
            "left_out": len(column.left_out(self.options.split)),
        }
        return aligned

    def _hear(self) -> list[HeardUtterance]:
        utterances = []
        with Progress(len(self.rows), self.options.quiet) as progress:
            for row in self.rows:
                wave, rate = self.dataset.wave(row)
                refuse_silence(wave)
                units = self.encoder.units(resample(wave, rate, self.encoder.sample_rate)) - self.first_unit
                mel = log_mel(resample(wave, rate, MEL.sample_rate), MEL).T
                spans = self.spans.get(row["id"])
                utterances.append(HeardUtterance(row.get("speaker"), units, mel, len(wave) / rate, spans))
                progress.advance()
        return utterances

    def _measure(self, quality: UnitQuality) -> dict[str, Any]:
        """Every measure by its name, as plain mappings; those that were not taken are left out."""
        found: dict[str, Any] = {"rates": asdict(quality.rates())}
        if self.alignments is None:
            self.missing |= dict.fromkeys(("phones", "abx_within", "abx_across", "boundaries", "words"), _NO_ALIGNMENTS)
        else:
            found["phones"] = {**asdict(quality.information()), "lag_s": round(quality.times.lag_s, 3)}
            for speakers in _SPEAKERS:
                scores = self._try(f"abx_{speakers}", partial(quality.abx, speakers))
                if scores is not None:
                    found[f"abx_{speakers}"] = {name: asdict(score) for name, score in scores.items()}
            found["boundaries"] = {name: asdict(pair) for name, pair in quality.boundaries().items()}
            words = self._try("words", quality.words)
            if words is not None:
                found["words"] = asdict(words)
        leakage = self._try("speakers", quality.speakers)
        if leakage is not None:
            found["speakers"] = asdict(leakage)
        return found

    def _try(self, name: str, measure: Callable[[], T]) -> T | None:
        try:
            return measure()
        except DataError as error:
            self.missing[name] = str(error)
            return None

    def _result(self, found: dict[str, Any]) -> dict[str, Any]:
        return {
            "kind": "units",
            "command": command_line(),
            "bundle": {
                "name": self.manifest.name,
                "class": self.manifest.cls,
                "content": content_hash(self.manifest),
                "quantizer": self._quantizer(),
                "unit_s": self.encoder.unit_s,
            },
            "data": data_facts(self.dataset, self.options.split, len(self.rows)),
            "alignments": self.alignments,
            "scores": _scores(found),
            **found,
            "not_measured": self.missing,
        }

    def _quantizer(self) -> int | None:
        return getattr(self.encoder, "quantizer", None)

    def _tables(self, found: dict[str, Any]) -> list[str]:
        place = "" if self._quantizer() is None else f", quantizer {self._quantizer()}"
        seconds = sum(float(row["duration_s"]) for row in self.rows if "duration_s" in row)
        head = (
            f"{self.manifest.name} ({self.manifest.cls}{place}), a unit every {1000 * self.encoder.unit_s:g} ms; "
            f"{len(self.rows)} utterances of {self.dataset.name}, {self.options.split}, {seconds:.0f} s"
        )
        tables = [head, _rates_text(found["rates"])]
        if "phones" in found:
            tables.append(_phones_text(found["phones"]))
        conditions = [speakers for speakers in _SPEAKERS if f"abx_{speakers}" in found]
        if conditions:
            tables.append(_abx_text({speakers: found[f"abx_{speakers}"] for speakers in conditions}))
        if "boundaries" in found:
            tables.append(_boundaries_text(found["boundaries"]))
        if "words" in found:
            tables.append(_words_text(found["words"]))
        if "speakers" in found:
            tables.append(_speakers_text(found["speakers"]))
        return [*tables, *(f"{name}: not measured, {reason}" for name, reason in self.missing.items())]


def _scores(found: Mapping[str, Any]) -> dict[str, float | None]:
    """The figures that two kinds of units are compared by."""
    scores = {name: found["rates"][name] for name in ("used_codes", "perplexity", "units_per_s", "bits_per_s_lossless")}
    for speakers in _SPEAKERS:
        for name in _ABX_ROWS:
            score = found.get(f"abx_{speakers}", {}).get(name)
            scores[f"abx_{speakers}_{name}"] = None if score is None else score["error"]
    scores["pnmi"] = found["phones"]["score"]["pnmi"] if "phones" in found else None
    for name, pair in found.get("boundaries", {}).items():
        key = name.replace(", ", "_").replace(" ", "_")
        scores |= {f"{key}_{part}": pair["score"][part] for part in ("f1", "r_value")}
    scores["words_with_f1_above_half"] = _n_good(found["words"]["score"]) if "words" in found else None
    scores["speaker_accuracy"] = found["speakers"]["units"]["accuracy"] if "speakers" in found else None
    return scores


def _rates_text(rates: Mapping[str, Any]) -> str:
    return table(
        [
            ("codes used", f"{rates['used_codes']} of {rates['n_codes']}"),
            ("entropy of a frame, bits", f"{rates['entropy_bits']:.2f}"),
            ("perplexity", f"{rates['perplexity']:.1f}"),
            ("units a second, collapsed", f"{rates['units_per_s']:.1f}"),
            ("bits a second, every frame", f"{rates['bits_per_s_frames']:.0f}"),
            ("bits a second, collapsed", f"{rates['bits_per_s_collapsed']:.0f}"),
            ("bits a second, with lengths", f"{rates['bits_per_s_lossless']:.0f}"),
        ]
    )


def _phones_text(found: Mapping[str, Any]) -> str:
    names = {"pnmi": "PNMI", "phone_purity": "phone purity", "unit_purity": "unit purity"}
    rows = [(label, *(f"{found[which][name]:.3f}" for which in ("score", "control"))) for name, label in names.items()]
    lag = f"shift of the units, where they tell most about phones: {1000 * found['lag_s']:+.0f} ms"
    return table([("phones of frames", "units", "shuffled"), *rows]) + f"\n{lag}"


def _abx_text(found: Mapping[str, Mapping[str, Any]]) -> str:
    rows: list[tuple[str, ...]] = [("ABX errors, %", *(f"{speakers} speakers" for speakers in found))]
    for name, label in _ABX_ROWS.items():
        scores = [by_name.get(name) for by_name in found.values()]
        if None not in scores:
            rows.append((label, *(_percent(score["error"], score["interval"]) for score in scores if score)))
    counts = [
        f"{speakers}: {score['n_triples']} triples of {score['n_pairs']} pairs of phones"
        for speakers, by_name in found.items()
        for score in [by_name["frames"]]
    ]
    return "\n".join([table(rows), *counts])


def _boundaries_text(found: Mapping[str, Any]) -> str:
    rows: list[tuple[str, ...]] = [("boundaries", "precision", "recall", "F1", "R-value", "F1 even", "R-value even")]
    for name, pair in found.items():
        score, even = pair["score"], pair["control"]
        figures = [score[part] for part in ("precision", "recall", "f1", "r_value")] + [even["f1"], even["r_value"]]
        rows.append((name if "," in name else f"{name}, 20 ms", *(f"{figure:.3f}" for figure in figures)))
    return table(rows)


def _words_text(found: Mapping[str, Any]) -> str:
    words, control = found["score"], found["control"]
    rows: list[tuple[str, ...]] = [("word", "code", "F1", "precision", "recall", "occurrences")]
    for one in words[:_N_WORDS]:
        figures = (f"{one[part]:.3f}" for part in ("f1", "precision", "recall"))
        rows.append((one["word"], str(one["code"]), *figures, str(one["n_occurrences"])))
    counted = f"F1 above .5: {_n_good(words)} of {len(words)} words; shuffled units: {_n_good(control)}"
    means = [float(np.mean([one["f1"] for one in which])) for which in (words, control)]
    return table(rows) + f"\n{counted}\nmean F1: {means[0]:.3f}; shuffled units: {means[1]:.3f}"


def _speakers_text(found: Mapping[str, Any]) -> str:
    rows = [
        (label, _percent(found[name]["accuracy"], found[name]["interval"]))
        for name, label in (("units", "histogram of units"), ("mel", "mean log-mel"))
    ]
    head = ("speaker told, %", f"{found['n_speakers']} speakers, {found['n_utterances']} utterances")
    return table([head, *rows, ("chance", f"{100 * found['chance']:.1f}")])


def _percent(share: float, interval: tuple[float, float]) -> str:
    return f"{100 * share:.1f} ({100 * interval[0]:.1f} .. {100 * interval[1]:.1f})"


def _n_good(words: list[dict[str, Any]]) -> int:
    return sum(one["f1"] > 0.5 for one in words)
