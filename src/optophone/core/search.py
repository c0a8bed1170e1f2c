"""Turning next-symbol probabilities into sequences: beam search, greedy choice and sampling.

One search for every captioner. A model is a `Step`: it takes the last symbols and its state and gives the logarithms of
the next probabilities. The state may be NumPy arrays or PyTorch tensors; all the search asks of them is
`x[index]` on axis 0, so this file needs neither PyTorch nor ONNX Runtime.

Small parts, composed by `search`: a `LogitFilter` rules symbols out, a tracker (`_Beam`, `_DiverseBeams` or `_Rows`,
one per picture) keeps the sequences of one picture and says which of the model's rows go on.
"""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from optophone.core.configuration import check_ranges
from optophone.core.errors import ConfigurationError
from optophone.core.guidance import guided

State = tuple[Any, ...]
Step = Callable[[np.ndarray, State], tuple[np.ndarray, np.ndarray | None, State]]
LogitFilter = Callable[[np.ndarray, Sequence[tuple[int, ...]]], None]


@dataclass(frozen=True)
class SearchConfig:
    """How sequences are chosen.

    Args:
        beam_size: unfinished sequences kept per picture (beam only).
        max_length: most steps, so most symbols with the end counted; what has no end by then is cut.
        length_penalty: exponent alpha of the length normalisation; 0 ranks by the plain sum of log-probabilities.
        length_norm: what the sum is divided by, for n symbols with the end counted: "gnmt" ((5 + n) / 6) ** alpha
            (Wu et al. 2016, equation 14), "power" n ** alpha, so that alpha = 1 ranks by the average.
        block_ngram: no n-gram of this many symbols comes twice in a sequence; 0 allows all, 1 forbids any repetition.
        method: "beam", "greedy" (the likeliest symbol each time) or "sample".
        temperature: above 1 flattens, below 1 sharpens what is sampled from.
        top_k: sample among the k likeliest symbols; 0 for all.
        top_p: sample among the fewest likeliest symbols whose probabilities reach p (Holtzman et al. 2020); 1 for all.
        n_results: sequences returned per picture, best first; at most beam_size, and 1 for greedy.
        seed: of the sampling. Every picture draws from its own generator with this seed, so that a picture's samples
            do not depend on the pictures beside it.
        min_length: fewest symbols before the end.
        forbid_repeats: no symbol comes twice in a row, as in units whose runs are collapsed; None says nothing, which
            is as False here and left to the symbols where a captioner is trained or exported.
        forbidden: ids that never come; the end is never forbidden, even where it shares its id with one of these.
        finished: "aside" keeps finished sequences apart, so that beam_size unfinished ones go on until none of them
            can win any more, and a cut sequence is returned only where no finished one is left; "in_beam" lets
            finished sequences take up places in the beam, and cut ones compete on equal terms (the search that the
            published X-LAN figures were made with, beam_size 3 and max_length 17).
        groups: above 1, diverse beam search (Vijayakumar et al. 2018): the beam is cut into so many groups, which
            choose one after the other and avoid what the groups before them chose at the same place. The results are
            then the best sequence of every group first, all different. It needs a beam_size that it divides, and
            finished sequences aside.
        diversity: strength of the avoiding, in nats for every sequence of an earlier group with the same symbol in the
            same place (Hamming diversity). It decides what is chosen, and is no part of scores or probabilities; the
            end is never avoided, so that sentences stay whole.
        guidance: how many times more what the picture changes is counted, beside the mean picture (`core.guidance`);
            0 for none. It needs a bundle with a mean picture. It decides what is chosen and how results are ranked;
            probabilities stay those of the model.
    """

    beam_size: int = 3
    max_length: int = 20
    length_penalty: float = 0.0
    length_norm: Literal["gnmt", "power"] = "gnmt"
    block_ngram: int = 0
    method: Literal["beam", "greedy", "sample"] = "beam"
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    n_results: int = 1
    seed: int = 0
    min_length: int = 0
    forbid_repeats: bool | None = None
    forbidden: tuple[int, ...] = ()
    finished: Literal["aside", "in_beam"] = "aside"
    groups: int = 1
    diversity: float = 0.7
    guidance: float = 0.0

    def __post_init__(self) -> None:
        """Refuse values without a meaning.

        Raises:
            ConfigurationError: names the option and the values it takes.
        """
        check_ranges(self, _RANGES, "search")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise ConfigurationError(f"search: {name} must be one of {', '.join(choices)}.")
        if self.temperature <= 0:
            raise ConfigurationError("search: temperature must be above 0; use the method greedy for none.")
        if not 0 < self.top_p <= 1:
            raise ConfigurationError(f"search: top_p must be above 0 and at most 1, not {self.top_p}.")
        most = {"beam": self.beam_size, "greedy": 1, "sample": self.n_results}[self.method]
        if self.n_results > most:
            raise ConfigurationError(
                f"search: {self.n_results} results asked of {self.method} search, which gives at most {most}; "
                "raise beam_size or use the method sample."
            )
        if self.groups > 1:
            self._check_groups()

    def _check_groups(self) -> None:
        if self.method != "beam" or self.finished != "aside":
            raise ConfigurationError("search: groups need the method beam with finished sequences aside.")
        if self.beam_size % self.groups:
            raise ConfigurationError(
                f"search: {self.groups} groups do not divide a beam_size of {self.beam_size}; give a multiple of it."
            )


_RANGES: dict[str, tuple[float, float]] = {
    "beam_size": (1, 100_000),
    "max_length": (1, 10_000),
    "length_penalty": (0, 100),
    "block_ngram": (0, 10_000),
    "temperature": (0, 1e6),
    "top_k": (0, 2**31),
    "n_results": (1, 100_000),
    "seed": (0, 2**63),
    "min_length": (0, 10_000),
    "groups": (1, 100_000),
    "diversity": (0, 1e6),
    "guidance": (0, 100),
}
_CHOICES = {"length_norm": ("gnmt", "power"), "method": ("beam", "greedy", "sample"), "finished": ("aside", "in_beam")}


@dataclass(frozen=True)
class Hypothesis:
    """One sequence for one picture.

    Args:
        ids: S symbols, without start and end.
        log_prob: natural logarithm of its probability, the end included where there is one.
        token_log_probs: of each symbol; where `finished`, one more for the end. They sum to `log_prob`.
        attention: (S, R) where the model looked for each symbol, or None if it does not say.
        finished: whether the end came; False where `max_length` cut the sequence.
        score: what results are ranked by: `log_prob`, or what guidance makes of it, after length normalisation.
    """

    ids: tuple[int, ...]
    log_prob: float
    token_log_probs: tuple[float, ...]
    attention: np.ndarray | None = field(repr=False)
    finished: bool
    score: float


def search(
    step: Step,
    state: State,
    start: int,
    end: int,
    config: SearchConfig,
    n_pictures: int,
    n_memory: int = 0,
    without: State | None = None,
) -> list[list[Hypothesis]]:
    """Find the sequences of `n_pictures` pictures together.

    Rows of one picture lie together and their number changes from step to step: one at first, then as many as there
    are unfinished sequences. Pictures that are done are no longer computed.

    Args:
        step: (ids (N,) int64, state) → (log_probs (N, V), attention (N, R) or None, next state).
        state: arrays or tensors with one row per picture; any number of them, none included.
        start: first symbol given to `step`. It may be the same id as `end`.
        end: symbol that finishes a sequence.
        config: how to choose.
        n_pictures: rows of every part of `state`.
        n_memory: the first so many parts of `state` stay the same for a picture at every step (what the encoder saw)
            and come back from `step` unchanged; they are not copied while the number of rows stays the same.
        without: for guidance: such a state for as many pictures of which nothing is known.

    Returns:
        For every picture `config.n_results` hypotheses, best first; fewer only where there are no more.

    Raises:
        ConfigurationError: guidance is asked for without `without`.
    """
    if config.guidance and without is None:
        raise ConfigurationError("search: there is no mean picture to be guided by; leave the guidance at 0.")
    trackers = [_build_tracker(config, end) for _ in range(n_pictures)]
    filters = build_filters(config, end)
    active = trackers
    while active:
        live = [partial for tracker in active for partial in tracker.live]
        ids = np.array([partial.ids[-1] if partial.ids else start for partial in live], dtype=np.int64)
        log_probs, attention, state = step(ids, state)
        log_probs = np.array(log_probs, np.float32, copy=True if filters else None)  # filters write into it
        assert log_probs.ndim == 2, log_probs.shape
        assert len(log_probs) == len(live), log_probs.shape
        assert not np.isnan(log_probs.max()), "the model's log-probabilities are not numbers"
        for rule_out in filters:
            rule_out(log_probs, [partial.ids for partial in live])
        scores = log_probs
        if config.guidance and without is not None:
            of_any, _, without = step(ids, without)
            scores = guided(log_probs, of_any, config.guidance)
        index, same_layout = _advance(active, _Next(log_probs, scores, attention))
        active = [tracker for tracker in active if tracker.live]
        if active:
            state = _select(state, index, n_memory if same_layout else 0)
            without = None if without is None else _select(without, index, n_memory if same_layout else 0)
    return [tracker.results() for tracker in trackers]


@dataclass(frozen=True, slots=True)
class _Next:
    """What may come next after each of N sequences.

    Args:
        log_probs: (N, V) of the model, -inf where a symbol is ruled out.
        scores: (N, V) of the same kind, by which is chosen and ranked: the same, or guided.
        attention: (N, R) or None.
    """

    log_probs: np.ndarray
    scores: np.ndarray
    attention: np.ndarray | None

    def rows(self, rows: slice) -> "_Next":
        """Some of them."""
        return _Next(self.log_probs[rows], self.scores[rows], None if self.attention is None else self.attention[rows])

    def extend(self, partial: "_Partial", row: int, symbol: int, end: int) -> "_Partial":
        """`partial`, which is that of `row`, with `symbol` behind it."""
        return partial.extend(
            symbol,
            float(self.log_probs[row, symbol]),
            float(self.scores[row, symbol]),
            None if self.attention is None else self.attention[row],
            end,
        )

    @property
    def n_regions(self) -> int:
        """R; 0 where the model does not say where it looks."""
        return 0 if self.attention is None else self.attention.shape[1]


def _advance(trackers: Sequence["_Tracker"], following: _Next) -> tuple[np.ndarray, bool]:
    """Let every picture choose; the rows to go on with, and whether every picture kept its number of rows."""
    index: list[int] = []
    first, same_layout = 0, True
    for tracker in trackers:
        rows = slice(first, first + len(tracker.live))
        parents = tracker.advance(following.rows(rows))
        index.extend(first + parent for parent in parents)
        same_layout &= len(parents) == rows.stop - first
        first = rows.stop
    return np.array(index, dtype=np.int64), same_layout


def _select(state: State, index: np.ndarray, n_kept: int) -> State:
    """The rows `index` of every part of `state` after the first `n_kept`."""
    return tuple(part if i < n_kept else part[index] for i, part in enumerate(state))


# ---------------------------------------------------------------------------------------------------------------------
# Filters: each writes -inf over what may not come next. Histories are the symbols so far, without start.


def build_filters(config: SearchConfig, end: int) -> list[LogitFilter]:
    """The filters that `config` asks for; an empty list where it asks for none."""
    filters: list[LogitFilter] = []
    forbidden = [symbol for symbol in config.forbidden if symbol != end]
    if forbidden:
        filters.append(_forbid(forbidden))
    if config.min_length > 0:
        filters.append(_hold_back_end(end, config.min_length))
    if config.forbid_repeats:
        filters.append(_forbid_repeats)
    if config.block_ngram > 0:
        filters.append(_block_repeated_ngrams(config.block_ngram))
    return filters


def _forbid(symbols: list[int]) -> LogitFilter:
    def rule_out(log_probs: np.ndarray, histories: Sequence[tuple[int, ...]]) -> None:
        log_probs[:, symbols] = -np.inf

    return rule_out


def _hold_back_end(end: int, min_length: int) -> LogitFilter:
    def rule_out(log_probs: np.ndarray, histories: Sequence[tuple[int, ...]]) -> None:
        log_probs[[len(history) < min_length for history in histories], end] = -np.inf

    return rule_out


def _forbid_repeats(log_probs: np.ndarray, histories: Sequence[tuple[int, ...]]) -> None:
    if histories[0]:  # all are equally long
        log_probs[np.arange(len(histories)), [history[-1] for history in histories]] = -np.inf


def _block_repeated_ngrams(n: int) -> LogitFilter:
    def rule_out(log_probs: np.ndarray, histories: Sequence[tuple[int, ...]]) -> None:
        for row, history in enumerate(histories):
            tail = history[len(history) - n + 1 :] if n > 1 else ()
            starts = range(len(history) - n + 1)
            repeated = [history[i + n - 1] for i in starts if history[i : i + n - 1] == tail]
            log_probs[row, repeated] = -np.inf

    return rule_out


# ---------------------------------------------------------------------------------------------------------------------
# Trackers: the sequences of one picture.


@dataclass(frozen=True, slots=True)
class _Partial:
    """A sequence on its way, or just finished; `ids` and `attention` leave out the end, `total` is of its scores."""

    ids: tuple[int, ...] = ()
    token_log_probs: tuple[float, ...] = ()
    attention: tuple[np.ndarray, ...] | None = ()
    log_prob: float = 0.0
    total: float = 0.0
    finished: bool = False

    def extend(self, symbol: int, log_prob: float, score: float, attention: np.ndarray | None, end: int) -> "_Partial":
        """This sequence with `symbol` behind it."""
        finished = symbol == end
        looked: tuple[np.ndarray, ...] | None = None
        if attention is not None and self.attention is not None:
            looked = self.attention if finished else (*self.attention, attention)
        return _Partial(
            ids=self.ids if finished else (*self.ids, symbol),
            token_log_probs=(*self.token_log_probs, log_prob),
            attention=looked,
            log_prob=self.log_prob + log_prob,
            total=self.total + score,
            finished=finished,
        )

    def score(self, config: SearchConfig) -> float:
        """`total` after length normalisation."""
        return self.total / length_divisor(len(self.token_log_probs), config)

    def hypothesis(self, config: SearchConfig, n_regions: int) -> Hypothesis:
        """This sequence as it is given to the caller."""
        attention = None
        if self.attention is not None:
            attention = np.stack(self.attention) if self.attention else np.zeros((0, n_regions), np.float32)
        return Hypothesis(
            ids=self.ids,
            log_prob=self.log_prob,
            token_log_probs=self.token_log_probs,
            attention=attention,
            finished=self.finished,
            score=self.score(config),
        )


def length_divisor(n_symbols: int, config: SearchConfig) -> float:
    """What a log-probability of `n_symbols` (end counted) is divided by; 1 where `length_penalty` is 0."""
    base = (5 + n_symbols) / 6 if config.length_norm == "gnmt" else float(max(n_symbols, 1))
    return base**config.length_penalty


def best_sums(scores: np.ndarray, sums: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """The largest of `scores` (rows, V) + `sums` (rows, 1), best first; of equal ones the earlier row and lower id.

    A first glance at the highest of every strip of symbols says how large a sum must be, and few are; so most scores
    are only ever compared with one number.

    Returns:
        (n,) places in the flattened sums, and the sums; fewer where there are fewer.
    """
    n_rows, n_symbols = scores.shape
    n = min(n, scores.size)
    width = max(1, min(512, scores.size // (4 * n), n_symbols))
    n_strips = n_symbols // width
    strips = scores[:, : n_strips * width].reshape(n_rows, n_strips, width).max(axis=2) + sums
    lowest = np.partition(strips.ravel(), strips.size - n)[strips.size - n] - sums
    lowest -= 1e-6 * (1 + np.abs(lowest)) if np.isfinite(lowest).all() else 0  # sums are rounded
    places = np.flatnonzero(scores >= lowest.astype(scores.dtype))
    totals = scores.ravel()[places] + sums[places // n_symbols, 0]
    order = np.argsort(-totals, kind="stable")[:n]
    return places[order], totals[order]


class _Beam:
    """Beam search for one picture.

    `live` sequences all have the same length, best first; `done` and `cut` ones go no further.
    """

    def __init__(self, config: SearchConfig, end: int) -> None:
        self.live = [_Partial()]
        self.chosen: list[int] = []  # in the last step, the end left out
        self._config = config
        self._end = end
        self._done: list[_Partial] = []
        self._cut: list[_Partial] = []
        self._n_regions = 0

    def advance(self, following: _Next, avoided: np.ndarray | None = None) -> list[int]:
        """Take one step; the row that each sequence grew from.

        Args:
            following: after each of `live`.
            avoided: (V,) nats that each symbol loses while sequences are chosen, or None.
        """
        self._n_regions = following.n_regions
        extensions = self._best_extensions(following, avoided)
        self.chosen = []
        if not extensions:  # every symbol is ruled out
            self._stop(self.live)
            return []
        if self._config.finished == "in_beam":
            grown = self._compete_in_beam(extensions)
        else:
            grown = self._set_finished_aside(extensions)
        self.live = [partial for _, partial in grown]
        self.chosen = [partial.ids[-1] for partial in self.live]
        if self.live and len(self.live[0].token_log_probs) >= self._config.max_length:
            self._stop(self.live)
        elif self._config.finished == "aside" and self._is_decided():
            self._stop([])
        return [row for row, _ in grown] if self.live else []

    def results(self) -> list[Hypothesis]:
        """The best sequences, best first."""
        if self._config.finished == "in_beam":
            ranked = self._ranked(self._done + self._cut)
        else:
            ranked = self._ranked(self._done) + self._ranked(self._cut)
        best = ranked[: self._config.n_results]
        return [partial.hypothesis(self._config, self._n_regions) for partial in best]

    def _best_extensions(self, following: _Next, avoided: np.ndarray | None) -> list[tuple[int, _Partial]]:
        """The best (row, sequence with one more symbol), best first: enough for beam_size without the end."""
        sums = np.array([[partial.total] for partial in self.live])
        scores = following.scores if avoided is None else following.scores - avoided
        best, totals = best_sums(scores, sums, self._config.beam_size + len(self.live))  # at most one end per row
        extensions = []
        for i in best[np.isfinite(totals)]:
            row, symbol = divmod(int(i), scores.shape[1])
            extensions.append((row, following.extend(self.live[row], row, symbol, self._end)))
        return extensions

    def _set_finished_aside(self, extensions: list[tuple[int, _Partial]]) -> list[tuple[int, _Partial]]:
        """The best unfinished sequences; a finished one is kept if it is among the beam_size best of its step."""
        beam_size = self._config.beam_size
        finished = [partial for _, partial in extensions[:beam_size] if partial.finished]
        self._done = self._ranked(self._done + finished)[: self._config.n_results]
        return [grown for grown in extensions if not grown[1].finished][:beam_size]

    def _compete_in_beam(self, extensions: list[tuple[int, _Partial]]) -> list[tuple[int, _Partial]]:
        """The unfinished sequences among the beam_size best, when the finished ones take places too."""
        rows = {id(partial): row for row, partial in extensions}
        kept = self._ranked(self._done + [partial for _, partial in extensions])[: self._config.beam_size]
        self._done = [partial for partial in kept if partial.finished]
        return [(rows[id(partial)], partial) for partial in kept if not partial.finished]

    def _is_decided(self) -> bool:
        """Whether no unfinished sequence can come among the results: it only loses probability from here on."""
        if not self.live or len(self._done) < self._config.n_results:
            return False
        # The first is the likeliest, except where something was avoided.
        bound = max(partial.total for partial in self.live) / length_divisor(self._config.max_length, self._config)
        return bound <= self._done[-1].score(self._config)

    def _stop(self, cut: list[_Partial]) -> None:
        self._cut = [partial for partial in cut if partial.token_log_probs]
        self.live = []

    def _ranked(self, partials: list[_Partial]) -> list[_Partial]:
        return sorted(partials, key=lambda partial: -partial.score(self._config))


class _DiverseBeams:
    """Diverse beam search for one picture: groups that take their step one after the other.

    Source: Vijayakumar et al. 2018, "Diverse Beam Search: Decoding Diverse Solutions from Neural Sequence Models",
    algorithm 1 with Hamming diversity. The first group is a plain beam search of its size.
    """

    def __init__(self, config: SearchConfig, end: int) -> None:
        self.live = [_Partial()]  # of all groups, one group after the other
        self._config = config
        size = config.beam_size // config.groups
        of_group = replace(config, beam_size=size, n_results=min(size, -(-config.n_results // config.groups)), groups=1)
        self._groups = [_Beam(of_group, end) for _ in range(config.groups)]

    def advance(self, following: _Next) -> list[int]:
        """Take one step; the row that each sequence grew from."""
        is_first = not self.live[0].token_log_probs  # all groups begin in the same row
        avoided = np.zeros(following.scores.shape[1])
        parents: list[int] = []
        first = 0
        for group in self._groups:
            n_rows = len(group.live)
            if not n_rows:
                continue
            rows = slice(first, first + n_rows)
            grown = group.advance(following.rows(rows), avoided)
            parents.extend(first + row for row in grown)
            for symbol in group.chosen:
                avoided[symbol] += self._config.diversity
            first += 0 if is_first else n_rows
        self.live = [partial for group in self._groups for partial in group.live]
        return parents

    def results(self) -> list[Hypothesis]:
        """The best sequence of every group, best first, then the second best of every group, and so on; no two alike.

        Cut sequences come last.
        """
        by_group = [group.results() for group in self._groups]
        tiers = itertools.zip_longest(*by_group)
        ranked = [found for tier in tiers for found in sorted(filter(None, tier), key=lambda one: -one.score)]
        ranked.sort(key=lambda found: not found.finished)  # stable: the order among finished ones stays
        different = {found.ids: found for found in reversed(ranked)}
        return [found for found in ranked if different[found.ids] is found][: self._config.n_results]


class _Rows:
    """Greedy choice and sampling for one picture: sequences that know nothing of one another."""

    def __init__(self, config: SearchConfig, end: int) -> None:
        self.live = [_Partial()]
        self._config = config
        self._end = end
        self._generator = np.random.default_rng(config.seed)
        self._stopped: list[_Partial] = []
        self._n_regions = 0

    def advance(self, following: _Next) -> list[int]:
        """Take one step; the row that each sequence grew from."""
        self._n_regions = following.n_regions
        is_first = not self.live[0].token_log_probs
        rows = [0] * self._config.n_results if is_first else list(range(len(self.live)))
        symbols = self._choose(following.scores[rows])
        grown: list[tuple[int, _Partial]] = []
        for row, symbol in zip(rows, symbols.tolist(), strict=True):
            if following.scores[row, symbol] == -np.inf:  # every symbol is ruled out
                self._stopped.append(self.live[row])
                continue
            extended = following.extend(self.live[row], row, symbol, self._end)
            if extended.finished or len(extended.token_log_probs) >= self._config.max_length:
                self._stopped.append(extended)
            else:
                grown.append((row, extended))
        self.live = [partial for _, partial in grown]
        return [row for row, _ in grown]

    def results(self) -> list[Hypothesis]:
        """The sequences, finished ones first, best first."""
        stopped = [partial for partial in self._stopped if partial.token_log_probs]
        ranked = sorted(stopped, key=lambda partial: (not partial.finished, -partial.score(self._config)))
        return [partial.hypothesis(self._config, self._n_regions) for partial in ranked]

    def _choose(self, scores: np.ndarray) -> np.ndarray:
        """One symbol (N,) for every row of `scores` (N, V)."""
        if self._config.method == "greedy":
            return scores.argmax(axis=1)
        probabilities = sampling_probabilities(scores, self._config.temperature, self._config.top_k, self._config.top_p)
        return draw(probabilities, self._generator)


_Tracker = _Beam | _DiverseBeams | _Rows


def _build_tracker(config: SearchConfig, end: int) -> _Tracker:
    if config.method != "beam":
        return _Rows(config, end)
    return _Beam(config, end) if config.groups == 1 else _DiverseBeams(config, end)


# ---------------------------------------------------------------------------------------------------------------------
# Sampling


def sampling_probabilities(log_probs: np.ndarray, temperature: float, top_k: int, top_p: float) -> np.ndarray:
    """What is sampled from: tempered, then cut to the `top_k` likeliest, then to the nucleus `top_p`.

    Args:
        log_probs: (N, V), -inf for symbols that are ruled out.
        temperature: above 0.
        top_k: 0 for all.
        top_p: above 0; 1 for all.

    Returns:
        (N, V) float64, rows summing to 1; a row that is ruled out altogether is all 0.
    """
    scaled = log_probs.astype(np.float64) / temperature
    n_symbols = scaled.shape[1]
    if 0 < top_k < n_symbols:
        dropped = np.argpartition(scaled, n_symbols - top_k, axis=1)[:, : n_symbols - top_k]
        np.put_along_axis(scaled, dropped, -np.inf, axis=1)
    probabilities = _normalized(scaled)
    if top_p < 1:
        order = np.argsort(-probabilities, axis=1, kind="stable")
        likeliest_first = np.take_along_axis(probabilities, order, axis=1)
        before = np.cumsum(likeliest_first, axis=1) - likeliest_first  # what is more likely than this symbol
        np.put_along_axis(scaled, order, np.where(before < top_p, 0.0, -np.inf), axis=1)
        probabilities = probabilities * np.isfinite(scaled)
        probabilities /= np.maximum(probabilities.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    return probabilities


def _normalized(logits: np.ndarray) -> np.ndarray:
    """Softmax over axis 1; 0 throughout where everything is -inf."""
    highest = logits.max(axis=1, keepdims=True)
    weights = np.exp(logits - np.where(np.isfinite(highest), highest, 0.0))
    return weights / np.maximum(weights.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)


def draw(probabilities: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """One symbol (N,) int64 per row of `probabilities` (N, V), never one of probability 0 (unless all are)."""
    cumulative = np.cumsum(probabilities, axis=1)
    totals = cumulative[:, -1]
    thresholds = np.minimum(generator.random(len(totals)) * totals, np.nextafter(totals, 0.0))
    return (cumulative > thresholds[:, None]).argmax(axis=1)
