"""The work of `optophone evaluate recognizer`."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from optophone.cli.caption_evaluation import data_facts, draw
from optophone.cli.progress import Progress
from optophone.cli.recognizer_choice import ORDER_NAMES, choose_recognizer
from optophone.cli.speech_evaluation import error_rates
from optophone.core.errors import DataError
from optophone.core.text import spoken_words
from optophone.data.manifest import Dataset, Row, read_dataset
from optophone.evaluation.bootstrap import bootstrap_interval
from optophone.evaluation.recognizer import word_errors
from optophone.evaluation.report import command_line, table, write_result


@dataclass(frozen=True)
class _Corpus:
    """Recordings of a data set with their words, in as many hearings as the recogniser has orders."""

    dataset: Dataset
    rows: list[Row]
    sentences: list[list[str]]
    n_left_out: int
    heard: list[list[list[str]]]

    def waves(self) -> Iterator[tuple[np.ndarray, int]]:
        """The recordings, one after the other."""
        return (self.dataset.wave(row) for row in self.rows)


class RecognizerEvaluation:
    """True speech of some data sets, heard by a recogniser.

    Args:
        recognizer: "pocketsphinx", "whisper:PATH" or a bundle.
        datasets: folders of prepared data sets with recordings and their text.
        split: which part of them.
        limit: utterances of each, drawn by chance but always the same; None for all.
        jobs: utterances at the same time.
        quiet: show no progress.

    Raises:
        DataError: a split has no recordings with words that the recogniser knows.
    """

    def __init__(
        self, recognizer: str, datasets: Sequence[Path], split: str, limit: int | None, jobs: int, quiet: bool
    ) -> None:
        self.recognizer = choose_recognizer(recognizer)
        self.split, self.jobs, self.quiet = split, jobs, quiet
        self.corpora = [self._read(folder, limit) for folder in datasets]

    def run(self, output: str | None) -> str:
        """Listen, compare, write `output` if given; returns the table."""
        orders = self.recognizer.orders
        n_waves = len(orders) * sum(len(corpus.rows) for corpus in self.corpora)
        with Progress(n_waves, self.quiet) as progress:
            for corpus in self.corpora:
                for order in orders:
                    heard = self.recognizer.hear(corpus.waves(), corpus.sentences, order, self.jobs, progress.advance)
                    corpus.heard.append(heard)
        if output:
            write_result(output, self._result())
        return self._table()

    def _read(self, folder: Path, limit: int | None) -> _Corpus:
        dataset = read_dataset(folder)
        spoken = [row for row in dataset.rows(self.split) if "audio" in row and row.get("text", "").strip()]
        rows = [row for row in spoken if self.recognizer.understands(spoken_words(row["text"]))]
        if not rows:
            raise DataError(f"{folder}: {self.split} has no recordings with words that the recogniser knows.")
        chosen = draw(rows, limit)
        sentences = [spoken_words(row["text"]) for row in chosen]
        return _Corpus(dataset, chosen, sentences, len(spoken) - len(rows), [])

    def _rates(self, corpora: Sequence[_Corpus], place: int) -> dict[str, float]:
        sentences = [sentence for corpus in corpora for sentence in corpus.sentences]
        heard = [words for corpus in corpora for words in corpus.heard[place]]
        return error_rates(sentences, heard)

    def _interval(self, corpora: Sequence[_Corpus]) -> tuple[float, float]:
        """Ends of the interval that holds 95 % of the word error rates when utterances are drawn again."""
        pairs = [
            (word_errors(said, heard), len(said))
            for corpus in corpora
            for said, heard in zip(corpus.sentences, corpus.heard[0], strict=True)
        ]
        return bootstrap_interval(np.array(pairs, np.float64), lambda sums: sums[:, 0] / sums[:, 1])

    def _result(self) -> dict[str, Any]:
        scores: dict[str, Any] = {}
        for name, corpora in [("", self.corpora), *((f"_{one.dataset.name}", [one]) for one in self.corpora)]:
            rates = self._rates(corpora, 0)
            scores |= {f"{kind}_error_rate{name}": rates[kind] for kind in ("word", "character")}
        facts = self.recognizer.facts
        return {
            "kind": "recognizer",
            "command": command_line(),
            "bundle": {key: facts.get(key) for key in ("name", "class", "content")},
            "data": [data_facts(one.dataset, self.split, len(one.rows)) for one in self.corpora],
            "recognizer": facts,
            "scores": scores,
            "interval_of_word_error_rate": self._interval(self.corpora),
            "hearings": {
                ORDER_NAMES[order]: {one.dataset.name: self._rates([one], place) for one in self.corpora}
                for place, order in enumerate(self.recognizer.orders)
            },
            "utterances": {
                one.dataset.name: {
                    str(row["id"]): {"said": " ".join(said), "heard": [" ".join(hearing[i]) for hearing in one.heard]}
                    for i, (row, said) in enumerate(zip(one.rows, one.sentences, strict=True))
                }
                for one in self.corpora
            },
            "left_out": {one.dataset.name: one.n_left_out for one in self.corpora},
            "calibration": None,
        }

    def _table(self) -> str:
        orders = self.recognizer.orders
        head = [name for order in orders for name in (f"words, {ORDER_NAMES[order]}", "letters")]
        rows: list[tuple[str, ...]] = [("error rates", "utterances", *head, "95 % interval")]
        whole = [("all", self.corpora)] if len(self.corpora) > 1 else []
        for name, corpora in [*((one.dataset.name, [one]) for one in self.corpora), *whole]:
            rates = [self._rates(corpora, place) for place in range(len(orders))]
            figures = [f"{rate[kind]:.3f}" for rate in rates for kind in ("word", "character")]
            interval = "{:.3f} .. {:.3f}".format(*self._interval(corpora))
            rows.append((name, str(sum(len(one.rows) for one in corpora)), *figures, interval))
        n_left_out = sum(one.n_left_out for one in self.corpora)
        unknown = f"left out for a word that the recogniser does not know: {n_left_out}"
        return "\n".join([table(rows), f"the interval is of the words in the first column; {unknown}"])
