"""What scoring captions has in common, whoever made them: options, table, result file and page."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from optophone.core.errors import DataError
from optophone.data.manifest import Dataset
from optophone.evaluation.caption_page import PageConfig, PageItem, caption_page, write_page
from optophone.evaluation.captions import Tokenizer, score_captions, tokenize_words
from optophone.evaluation.coco_captions import read_coco_references
from optophone.evaluation.comparison import figures_record
from optophone.evaluation.document_frequency import (
    DocumentFrequency,
    cached_document_frequency,
    document_frequency,
    load_document_frequency,
)
from optophone.evaluation.java import NotMeasuredError
from optophone.evaluation.metric import METRICS
from optophone.evaluation.phone_error import tokenize_phones
from optophone.evaluation.ptb_tokenizer import tokenize_ptb
from optophone.evaluation.report import table
from optophone.evaluation.unit_error import tokenize_units

TOKENIZERS: Mapping[str, Tokenizer] = {
    "words": tokenize_words,
    "ptb": tokenize_ptb,
    "phones": tokenize_phones,
    "units": tokenize_units,
}
CORPUS = "corpus"
_NOT_MEASURED = "not measured"
# Of single pictures; BLEU-4 is mostly 0 there.
_ON_PAGE = ("cider_d", "meteor", "rouge_l", "spice")


@dataclass(frozen=True)
class ScoringOptions:
    """How captions are scored and shown.

    Args:
        tokenizer: of `TOKENIZERS`.
        document_frequency: "corpus" for the references that are scored against, the name of a split of the data set, a
            file of document frequencies, or one of references as COCO has them.
        java: also METEOR and SPICE.
        report: page to write, or None.
        report_pictures: best, worst and random pictures on it, so many of each.
    """

    tokenizer: str = "words"
    document_frequency: str = CORPUS
    java: bool = True
    report: Path | None = None
    report_pictures: int = 12


class CaptionScoring:
    """Captions scored against references, as `options` say.

    Args:
        hypotheses: picture's name to its caption.
        references: picture's name to its human captions.
        options: how.
        dataset: the prepared data set that the references are of, or None.
        training: captions the model was trained on, or None.
    """

    def __init__(
        self,
        hypotheses: Mapping[str, str],
        references: Mapping[str, Sequence[str]],
        options: ScoringOptions,
        dataset: Dataset | None = None,
        training: Sequence[str] | None = None,
    ) -> None:
        self.hypotheses, self.references, self.options = hypotheses, references, options
        tokenizer = TOKENIZERS[options.tokenizer]
        try:
            frequency = _frequency(options, dataset)
            self.scored = score_captions(hypotheses, references, frequency, tokenizer, training, options.java)
        except NotMeasuredError as error:
            raise DataError(f"--tokenizer {options.tokenizer}: {error}.") from None
        self.intervals = self.scored.intervals()

    def facts(self) -> dict[str, Any]:
        """What a result file says of the scores."""
        return {
            "scores": asdict(self.scored.scores),
            "intervals": self.intervals,
            "not_measured": dict(self.scored.not_measured),
            "tokenizer": self.options.tokenizer,
            "document_frequency": self.options.document_frequency,
            "references": _hash(self.references),
        }

    def figures(self) -> dict[str, Any]:
        """The captions, and the figures of each picture in the same order, for `optophone evaluate compare`."""
        return {"captions": dict(self.hypotheses), "figures": figures_record(self.scored.figures)}

    def rows(self) -> list[tuple[str, str, str]]:
        """The table: head, metrics with their intervals, variety."""
        scores, varied = self.scored.scores, self.scored.diversity
        rows = [("", "score", "95 % interval")]
        for name, metric in METRICS.items():
            if name in self.intervals:
                low, high = self.intervals[name]
                rows.append((metric.label, f"{getattr(scores, name):.1f}", f"{low:.1f} .. {high:.1f}"))
            else:
                rows.append((metric.label, "", f"{_NOT_MEASURED}: {self.scored.not_measured[name]}"))
        rows += [("pictures", f"{scores.n_pictures}", "")]
        rows += [("different captions", f"{varied.n_distinct_captions}", "")]
        counted = "units" if self.options.tokenizer == "units" else "words"
        rows += [(f"{counted} used", f"{varied.vocabulary_used}", "")]
        rows += [(f"{counted} per caption", f"{varied.mean_length:.1f}", "")]
        rows += [("distinct-1, distinct-2", f"{varied.distinct_1:.3f}, {varied.distinct_2:.3f}", "")]
        rows += [("self-BLEU", f"{varied.self_bleu:.1f}", "")]
        if varied.seen_in_training is not None:
            rows += [("seen in training", f"{100 * varied.seen_in_training:.1f} %", "")]
        return rows

    def write_report(
        self,
        title: str,
        facts: Mapping[str, str],
        rows: Sequence[Sequence[str]],
        pictures: Mapping[str, Path],
        confidences: Mapping[str, float] | None = None,
    ) -> Path | None:
        """Write the page if it was asked for; returns its file."""
        if self.options.report is None:
            return None
        scores = {name: found for name, found in self.scored.picture_scores().items() if name in _ON_PAGE}
        items = [
            PageItem(
                name=name,
                picture=pictures.get(name),
                caption=self.hypotheses[name],
                references=self.references[name],
                scores={METRICS[metric].label: float(scores[metric][i]) for metric in _ON_PAGE if metric in scores},
                rank=float(scores["cider_d"][i]),
                confidence=confidences[name] if confidences else None,
            )
            for i, name in enumerate(self.scored.pictures)
        ]
        page = caption_page(title, facts, rows, items, PageConfig(self.options.report_pictures))
        return write_page(self.options.report, page)


def text_table(rows: Sequence[Sequence[str]]) -> str:
    """The rows as lines; what was not measured comes below, as the reasons are long."""
    measured = [row for row in rows if not row[2].startswith(_NOT_MEASURED)]
    return "\n".join([table(measured), *(f"{row[0]} {row[2]}" for row in rows if row not in measured)])


def _frequency(options: ScoringOptions, dataset: Dataset | None) -> DocumentFrequency | None:
    """The document frequencies that `options` name; None for those of the references."""
    name, tokenizer = options.document_frequency, TOKENIZERS[options.tokenizer]
    if name == CORPUS:
        return None
    if dataset is not None and name in dataset.splits:
        key = f"{dataset.hash()} {name} {options.tokenizer}"
        return cached_document_frequency(
            dataset.folder, key, lambda: _cut([row["captions"] for row in dataset.rows(name)], tokenizer)
        )
    if Path(name).suffix == ".json":
        return document_frequency(_cut(list(read_coco_references(name)[0].values()), tokenizer))
    if not Path(name).is_file():
        splits = f", a split of the data set ({', '.join(dataset.splits)})" if dataset else ""
        raise DataError(f"--document-frequency {name}: give corpus{splits}, a .npz file or a COCO captions_*.json.")
    return load_document_frequency(name)


def _cut(captions: Sequence[Sequence[str]], tokenizer: Tokenizer) -> list[list[list[str]]]:
    """Words of all captions, picture by picture, by one call of the tokenizer."""
    words = iter(tokenizer([caption for some in captions for caption in some]))
    return [[next(words) for _ in some] for some in captions]


def _hash(references: Mapping[str, Sequence[str]]) -> str:
    """sha256 of pictures and references, in whatever order the pictures come."""
    return hashlib.sha256(json.dumps(references, sort_keys=True).encode()).hexdigest()
