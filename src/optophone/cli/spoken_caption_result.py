"""What `optophone evaluate spoken-captions` says: a table, a result file, a page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from optophone.cli.caption_scoring import CaptionScoring
from optophone.evaluation.comparison import Difference, paired_differences
from optophone.evaluation.metric import METRICS
from optophone.evaluation.report import command_line, table
from optophone.evaluation.spoken_captions import ErrorRate

_SHOWN = ("bleu_1", "bleu_2", "bleu_3", "bleu_4", "meteor", "rouge_l", "cider", "cider_d", "spice")
_NAMES = {
    "system_written": "  in writing",
    "cascade_written": "  in writing",
    "speech": "true speech",
    "speech_written": "  in writing",
    "units": "true units",
    "shuffled": "shuffled pictures",
    "constant": "one caption for all",
}
_UNIT_ROWS = {
    "bleu_4": "BLEU-4 of units",
    "shuffled_bleu_4": "BLEU-4, shuffled pictures",
    "unit_error_rate": "wrong units, of the nearest spoken caption's",
    "mean_length": "units a caption",
    "length_ratio": "length, of spoken captions'",
    "n_distinct": "different captions",
    "loop_rate": "captions that loop",
    "no_end_rate": "captions without an end",
}


@dataclass(frozen=True, eq=False)
class ResultRow:
    """A system or a control.

    Args:
        name: in the result file.
        what: it is, in words.
        scoring: its captions, scored.
        n_left_out: pictures that it says nothing about.
        errors: word error rate, where it is known which words were said.
        differences: score of the system less that of this row, on the same pictures; None for the system itself.
        held_out: whether each picture's caption that is said here is no reference; nor is it then for the system.
    """

    name: str
    what: str
    scoring: CaptionScoring
    n_left_out: int = 0
    errors: ErrorRate | None = None
    differences: Sequence[Difference] | None = None
    held_out: bool = False

    def beside(self, system: CaptionScoring) -> "ResultRow":
        """This row with its differences from the system, whose captions are of the same pictures."""
        assert tuple(self.scoring.hypotheses) == tuple(system.hypotheses)
        return replace(self, differences=paired_differences(self.scoring.scored.figures, system.scored.figures))

    def content(self) -> dict[str, Any]:
        """For the result file."""
        return {
            "what": self.what,
            "pictures": len(self.scoring.hypotheses),
            "left_out": self.n_left_out,
            "word_error_rate": None if self.errors is None else asdict(self.errors),
            **self.scoring.facts(),
            "system_less_this": None if self.differences is None else self._differences(self.differences),
            "held_out": self.held_out,
        }

    def _differences(self, differences: Sequence[Difference]) -> dict[str, Any]:
        return {
            one.metric: {
                "system": one.second,
                "this": one.first,
                "difference": one.difference,
                "interval": one.interval,
                "system_better": one.second_better,
            }
            for one in differences
        }


@dataclass(frozen=True, eq=False)
class SpokenCaptionResult:
    """All of it.

    Args:
        facts: what was measured with what.
        rows: the system's own first.
        units: figures of its units, or None.
        about_recognizer: a line.
    """

    facts: Mapping[str, Any]
    rows: Sequence[ResultRow]
    units: Mapping[str, Any] | None
    about_recognizer: str

    def content(self) -> dict[str, Any]:
        """The result file: that of captions for the system, so that it can be compared, and all rows."""
        scoring = self.rows[0].scoring
        return {
            **self.facts,
            **scoring.facts(),
            "rows": {row.name: row.content() for row in self.rows},
            "unit_captions": self.units,
            "calibration": None,
            **scoring.figures(),
        }

    def write_report(self, title: str, pictures: Mapping[str, Path]) -> None:
        """The page of what was heard from the system, if it was asked for."""
        scoring = self.rows[0].scoring
        scoring.write_report(title, {"Command": command_line()}, scoring.rows(), pictures)

    def text(self) -> str:
        """The tables."""
        parts = [self._scores(), self._differences(), self._units()]
        return "\n\n".join([*(part for part in parts if part), self._about()])

    def _scores(self) -> str:
        names = [name for name in _SHOWN if any(name in row.scoring.intervals for row in self.rows)]
        rows: list[Sequence[str]] = [("", *(METRICS[name].label for name in names), "word errors", "pictures")]
        for row in self.rows:
            scores = row.scoring.scored.scores
            cells = [f"{getattr(scores, name):.1f}" if name in row.scoring.intervals else "-" for name in names]
            errors = "-" if row.errors is None else f"{row.errors.rate:.3f}"
            rows.append((_NAMES.get(row.name, row.name), *cells, errors, str(scores.n_pictures)))
        lines = [table(rows)]
        reasons = self.rows[0].scoring.scored.not_measured
        lines += [f"{METRICS[name].label} not measured: {reason}" for name, reason in reasons.items()]
        return "\n".join(lines)

    def _differences(self) -> str:
        shown = ("bleu_4", "cider_d")
        head = [cell for name in shown for cell in (METRICS[name].label, "95 % interval")]
        rows: list[Sequence[str]] = [("the system less", *head)]
        for row in self.rows[1:]:
            found = {one.metric: one for one in row.differences or ()}
            cells = []
            for name in shown:
                low, high = found[name].interval
                cells += [_signed(found[name].difference), f"{_signed(low)} .. {_signed(high)}"]
            mark = " *" if row.held_out else ""
            rows.append((_NAMES.get(row.name, row.name).strip() + mark, *cells))
        if len(rows) == 1:
            return ""
        note = "* both against the picture's captions but the one that is said in true speech"
        return table(rows) + ("\n" + note if any(row.held_out for row in self.rows) else "")

    def _units(self) -> str:
        if self.units is None:
            return ""
        rows = [("units", "")]
        for name, label in _UNIT_ROWS.items():
            value = self.units.get(name)
            if value is not None:
                rows.append((label, f"{100 * value:.1f} %" if name.endswith("_rate") else f"{value:.4g}"))
        return table(rows)

    def _about(self) -> str:
        """The recogniser, and its errors on the true speech here."""
        knows = self.facts["recognizer"]["knows"]
        heard = "any words" if isinstance(knows, str) else f"the {knows['words']} words of {knows['captions']} captions"
        order = self.facts["recognizer"]["order"]
        if order > 1:
            heard += f", {order} in a row"
        line = f"{self.about_recognizer}; it listens for {heard}"
        for row in self.rows:
            if row.name == "speech" and row.errors is not None:
                rate, (low, high) = row.errors.rate, row.errors.interval
                line += f"; on the true speech here {rate:.3f} of its words are wrong ({low:.3f} .. {high:.3f})"
        return line


def _signed(value: float) -> str:
    """With its sign, and nothing less than nothing."""
    return f"{round(value, 1) + 0.0:+.1f}"
