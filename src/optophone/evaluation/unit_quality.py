"""How good discrete units of speech are, by all measures, beside their controls."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeVar

import numpy as np

from optophone.core.errors import DataError
from optophone.core.mel import MelSpec
from optophone.core.spans import SpokenSpans
from optophone.core.units import collapse
from optophone.evaluation.abx import (
    ABXConfig,
    ABXScore,
    Distances,
    Speakers,
    Triples,
    abx_score,
    draw_triples,
    tokens_of,
)
from optophone.evaluation.boundaries import BoundaryScore, boundary_score, even_boundaries
from optophone.evaluation.code_words import CodeWord, code_words
from optophone.evaluation.edit_distance import edit_distance
from optophone.evaluation.phone_information import PhoneInformation, phone_information
from optophone.evaluation.speaker_probe import (
    ProbeConfig,
    ProbeScore,
    commonest_share,
    probe_speakers,
    unit_histograms,
)
from optophone.evaluation.time_warping import angles, different_codes, unit_distances, vector_distances
from optophone.evaluation.unit_rates import UnitRates, unit_rates
from optophone.evaluation.unit_times import UnitTimes, boundaries_of, pauses_of

Score = TypeVar("Score")
# What units are compared with: 10 ms of sound a frame.
MEL = MelSpec(sample_rate=16000, n_fft=512, win_length=400, hop_length=160, n_mels=40, f_max=8000.0)
_MEL_S = MEL.hop_length / MEL.sample_rate
_MEL_TIMES = UnitTimes(_MEL_S, -_MEL_S / 2)  # frames stand around their times
_LAG_STEP_S = 0.01


@dataclass(frozen=True)
class HeardUtterance:
    """An utterance in units.

    Attributes:
        speaker: who says it, or None.
        units: (S,) codes counted from 0, one per frame.
        mel: (T, M) as `MEL` lays it out.
        duration_s: of the sound.
        spans: when its words and phones are said, or None where nobody knows.
    """

    speaker: str | None
    units: np.ndarray
    mel: np.ndarray
    duration_s: float
    spans: SpokenSpans | None


@dataclass(frozen=True)
class UnitQualityConfig:
    """How much is asked.

    Args:
        abx: triples of ABX.
        probe: of speakers.
        fewest_words: occurrences of a word that is looked for among the codes.
        tolerance_s: of boundaries; they are also scored with that of one frame of units.
        seed: of shuffled units.
    """

    abx: ABXConfig = field(default_factory=ABXConfig)
    probe: ProbeConfig = field(default_factory=ProbeConfig)
    fewest_words: int = 10
    tolerance_s: float = 0.02
    seed: int = 0


@dataclass(frozen=True)
class WithControl(Generic[Score]):
    """A score and what it is without any merit of the units."""

    score: Score
    control: Score


@dataclass(frozen=True)
class SpeakerLeakage:
    """How often a probe tells the speaker.

    Attributes:
        units: from the histogram of the units.
        mel: from the mean of the log-mels.
        chance: always naming the speaker of the most utterances.
        n_utterances, n_speakers: asked about.
    """

    units: ProbeScore
    mel: ProbeScore
    chance: float
    n_utterances: int
    n_speakers: int


class UnitQuality:
    """The units of some utterances.

    Args:
        utterances: what is looked at.
        n_codes: units that there are.
        unit_s: seconds of a frame.
        vectors: (K, D) of the codes, where the encoder has such.
        config: how much is asked.

    Raises:
        DataError: no utterances.
    """

    def __init__(
        self,
        utterances: Sequence[HeardUtterance],
        n_codes: int,
        unit_s: float,
        vectors: np.ndarray | None = None,
        config: UnitQualityConfig | None = None,
    ) -> None:
        if not utterances:
            raise DataError("No utterances to look at: there is no quality of nothing.")
        self.utterances, self.n_codes, self.unit_s, self.vectors = utterances, n_codes, unit_s, vectors
        self.config = config or UnitQualityConfig()
        self.units = [one.units for one in utterances]

    def rates(self) -> UnitRates:
        """Codes that are used, and bits a second."""
        return unit_rates(self.units, self.n_codes, self.unit_s)

    @cached_property
    def shuffled(self) -> list[np.ndarray]:
        """The same codes, as often each, anywhere."""
        order = np.random.default_rng(self.config.seed).permutation(sum(map(len, self.units)))
        ends = np.cumsum([len(one) for one in self.units])[:-1]
        return np.split(np.concatenate(self.units)[order], ends)

    @cached_property
    def times(self) -> UnitTimes:
        """Where frames stand: with the lag, in steps of 10 ms, by which they tell most about phones.

        Encoders differ in which of the samples around it a unit is about, and a network may speak late.
        """
        n = int(self.unit_s / _LAG_STEP_S + 1e-9)
        tried = [UnitTimes(self.unit_s, i * _LAG_STEP_S) for i in sorted(range(-n, n + 1), key=abs)]
        return max(tried, key=lambda times: self._information(self.units, times).pnmi)

    def information(self) -> WithControl[PhoneInformation]:
        """What the units tell about phones; control: shuffled units."""
        return WithControl(self._information(self.units, self.times), self._information(self.shuffled, self.times))

    def abx(self, speakers: Speakers) -> dict[str, ABXScore]:
        """ABX errors of the units by several distances, of log-mels, and of units in each other's places.

        "frames": 0 or 1 between the codes of two frames, time warped. "vectors": the same with the angles between the
        codes' vectors. "collapsed": edits over the length of the longer one. "mel": angles between log-mel frames,
        time warped. "shuffled": as "frames", which must be .5.

        Raises:
            DataError: there is nothing to ask.
        """
        spoken = self._spoken()
        tokens = [
            token for i, (one, spans) in enumerate(spoken) for token in tokens_of(spans.phones, one.speaker or "", i)
        ]
        triples = draw_triples(tokens, speakers, self.config.abx)
        asked = np.unique(np.concatenate((triples.a, triples.b, triples.x)))  # only these are cut out
        a, b, x = (np.searchsorted(asked, which) for which in (triples.a, triples.b, triples.x))
        triples = Triples(a, b, x, triples.cells, triples.pairs)

        def cut(frames: Sequence[np.ndarray], times: UnitTimes) -> list[np.ndarray]:
            chosen = (tokens[i] for i in asked)
            return [times.at(frames[token.utterance], token.start_s, token.end_s) for token in chosen]

        return {name: abx_score(triples, distances) for name, distances in self._distances(cut).items()}

    def boundaries(self) -> dict[str, WithControl[BoundaryScore]]:
        """Changes of units as boundaries of "phones" and "words", within the tolerance, and within "… one unit"; the
        control has as many boundaries, evenly spaced."""
        spoken = self._spoken()
        found = [self.times.changes(one.units) for one, _ in spoken]
        scores = {}
        for name, true in (
            ("phones", [boundaries_of(spans.phones) for _, spans in spoken]),
            ("words", [boundaries_of(spans.words) for _, spans in spoken]),
        ):
            for label, tolerance in ((name, self.config.tolerance_s), (f"{name}, one unit", self.unit_s)):
                even = even_boundaries(found, true, tolerance)
                scores[label] = WithControl(
                    boundary_score(found, true, tolerance), boundary_score(even, true, tolerance)
                )
        return scores

    def words(self) -> WithControl[list[CodeWord]]:
        """For each word its best code; control: shuffled units.

        Raises:
            DataError: no word occurs often enough.
        """
        return WithControl(self._words(self.units), self._words(self.shuffled))

    def speakers(self) -> SpeakerLeakage:
        """What units tell about the speaker; speakers of few utterances are left out.

        Raises:
            DataError: fewer than two speakers are left.
        """
        counts = Counter(one.speaker for one in self.utterances)
        chosen = [
            one
            for one in self.utterances
            if one.speaker is not None and counts[one.speaker] >= self.config.probe.n_folds
        ]
        names = [str(one.speaker) for one in chosen]
        if len(set(names)) < 2:
            raise DataError(f"no two speakers with {self.config.probe.n_folds} utterances each")
        histograms = unit_histograms([one.units for one in chosen], self.n_codes)
        means = np.stack([one.mel.mean(0) for one in chosen]).astype(np.float64)
        return SpeakerLeakage(
            probe_speakers(histograms, names, self.config.probe),
            probe_speakers(means, names, self.config.probe),
            commonest_share(names),
            len(names),
            len(set(names)),
        )

    def _spoken(self) -> list[tuple[HeardUtterance, SpokenSpans]]:
        return [(one, one.spans) for one in self.utterances if one.spans is not None]

    def _information(self, units: Sequence[np.ndarray], times: UnitTimes) -> PhoneInformation:
        labels = [
            label
            for one, codes in zip(self.utterances, units, strict=True)
            if one.spans is not None
            for label in times.labels(len(codes), one.spans.phones)
        ]
        kept = [codes for one, codes in zip(self.utterances, units, strict=True) if one.spans is not None]
        return phone_information(np.concatenate(kept), np.unique(labels, return_inverse=True)[1])

    def _words(self, units: Sequence[np.ndarray]) -> list[CodeWord]:
        labels: list[str | None] = []
        codes: list[np.ndarray] = []
        for one, frames in zip(self.utterances, units, strict=True):
            if one.spans is None:
                continue
            for span in one.spans.words:
                labels.append(span.label)
                codes.append(self.times.at(frames, span.start_s, span.end_s))
            for pause in pauses_of(one.spans.words, one.duration_s):
                labels.append(None)
                codes.append(self.times.inside(frames, pause.start_s, pause.end_s))
        return code_words(labels, codes, self.n_codes, self.config.fewest_words)

    def _distances(self, cut: Callable[[Sequence[np.ndarray], UnitTimes], list[np.ndarray]]) -> dict[str, Distances]:
        """Name of a representation to the distances of its tokens."""
        spoken = [i for i, one in enumerate(self.utterances) if one.spans is not None]
        tokens = cut([self.units[i] for i in spoken], self.times)
        # Whole tokens change places, lengths and all: phones differ in length, which chance does not know of.
        shuffled = [tokens[i] for i in np.random.default_rng(self.config.seed).permutation(len(tokens))]
        mels = [self.utterances[i].mel for i in spoken]
        frames = cut(mels, _MEL_TIMES)
        different = different_codes(self.n_codes)
        runs = [collapse(token).units.tolist() for token in tokens]
        found: dict[str, Distances] = {
            "frames": lambda first, second: unit_distances(tokens, different, first, second),
            "collapsed": lambda first, second: _edit_distances(runs, first, second),
            "shuffled": lambda first, second: unit_distances(shuffled, different, first, second),
            "mel": lambda first, second: vector_distances(frames, first, second),
        }
        if self.vectors is not None:
            costs = angles(self.vectors)
            found["vectors"] = lambda first, second: unit_distances(tokens, costs, first, second)
        return found


def _edit_distances(runs: Sequence[Sequence[int]], first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(P,) edits from one of `runs` to the other, over the length of the longer one."""
    return np.array(
        [edit_distance(runs[i], runs[j]) / max(len(runs[i]), len(runs[j])) for i, j in zip(first, second, strict=True)]
    )
