"""The search against exhaustive enumeration on small random Markov models, and what its options promise."""

import itertools
import math

import numpy as np
import pytest

from optophone.core import search as search_module
from optophone.core.errors import ConfigurationError
from optophone.core.search import (
    Hypothesis,
    SearchConfig,
    best_sums,
    build_filters,
    draw,
    length_divisor,
    sampling_probabilities,
    search,
)

START, END = 0, 1


class MarkovModel:
    """Next-symbol probabilities that depend on the picture, the step and the last symbol; it records its calls."""

    def __init__(self, seed: int, n_pictures: int, n_symbols: int = 5, n_regions: int = 3, sharpness: float = 1.5):
        generator = np.random.default_rng(seed)
        logits = sharpness * generator.normal(size=(n_pictures, 32, n_symbols, n_symbols))
        self.log_probs = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        self.attention = generator.random((n_pictures, 32, n_symbols, n_regions)).astype(np.float32)
        self.n_pictures = n_pictures
        self.rows_per_call: list[int] = []

    def state(self, only: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        pictures = np.arange(self.n_pictures) if only is None else np.array([only])
        return pictures, np.zeros(len(pictures), dtype=np.int64)

    def step(self, ids, state):
        pictures, steps = state
        self.rows_per_call.append(len(ids))
        chosen = (pictures, steps, ids)
        return self.log_probs[chosen].astype(np.float32), self.attention[chosen], (pictures, steps + 1)

    def log_prob(self, picture: int, symbols: tuple[int, ...], start: int = START) -> float:
        previous = (start, *symbols[:-1])
        return sum(
            float(self.log_probs[picture, i, a, b]) for i, (a, b) in enumerate(zip(previous, symbols, strict=True))
        )

    def all_sequences(self, picture: int, max_length: int, start: int = START, end: int = END):
        """Every (symbols with end, log_prob, finished) that fits `max_length`."""
        others = [symbol for symbol in range(self.log_probs.shape[-1]) if symbol != end]
        for length in range(1, max_length + 1):
            for body in itertools.product(others, repeat=length - 1):
                yield (*body, end), self.log_prob(picture, (*body, end), start), True
        for body in itertools.product(others, repeat=max_length):
            yield body, self.log_prob(picture, body, start), False


def run(model: MarkovModel, config: SearchConfig, start: int = START, end: int = END) -> list[list[Hypothesis]]:
    return search(model.step, model.state(), start, end, config, model.n_pictures)


def with_end(hypothesis: Hypothesis, end: int = END) -> tuple[int, ...]:
    return (*hypothesis.ids, end) if hypothesis.finished else hypothesis.ids


@pytest.mark.parametrize(("norm", "penalty"), [("gnmt", 0.0), ("gnmt", 0.9), ("power", 1.0)])
@pytest.mark.parametrize("finished", ["aside", "in_beam"])
def test_beam_as_wide_as_the_tree_finds_the_best_sequences(norm, penalty, finished):
    model = MarkovModel(seed=3, n_pictures=4)
    config = SearchConfig(
        beam_size=5**4, max_length=4, n_results=6, length_penalty=penalty, length_norm=norm, finished=finished
    )
    for picture, hypotheses in enumerate(run(model, config)):
        expected = [
            (log_prob / length_divisor(len(symbols), config), symbols)
            for symbols, log_prob, is_finished in model.all_sequences(picture, 4)
            if is_finished or finished == "in_beam"
        ]
        expected.sort(reverse=True)
        assert [with_end(hypothesis) for hypothesis in hypotheses] == [symbols for _, symbols in expected[:6]]
        np.testing.assert_allclose([h.score for h in hypotheses], [score for score, _ in expected[:6]], rtol=1e-5)


def test_length_divisors_are_the_documented_formulas():
    assert length_divisor(7, SearchConfig(length_penalty=0.0)) == 1
    assert length_divisor(7, SearchConfig(length_penalty=0.5)) == pytest.approx(math.sqrt(2))
    assert length_divisor(7, SearchConfig(length_penalty=1.0, length_norm="power")) == pytest.approx(7)


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_log_probs_and_attention_follow_the_symbols_through_the_beam(method):
    model = MarkovModel(seed=5, n_pictures=6, sharpness=1.0)
    n_results = 1 if method == "greedy" else 3
    config = SearchConfig(method=method, beam_size=4, n_results=n_results, max_length=8, finished="in_beam")
    for picture, hypotheses in enumerate(run(model, config)):
        assert len(hypotheses) == n_results
        for hypothesis in hypotheses:
            symbols = with_end(hypothesis)
            steps = list(enumerate(zip((START, *symbols[:-1]), symbols, strict=True)))
            np.testing.assert_allclose(
                hypothesis.token_log_probs, [model.log_probs[picture, i, a, b] for i, (a, b) in steps], rtol=1e-5
            )
            assert hypothesis.log_prob == pytest.approx(sum(hypothesis.token_log_probs))
            looked = np.array([model.attention[picture, i, a] for i, (a, b) in steps if b != END]).reshape(-1, 3)
            np.testing.assert_array_equal(hypothesis.attention, looked)


def test_greedy_takes_the_likeliest_symbol_each_time():
    model = MarkovModel(seed=8, n_pictures=20)
    for picture, (hypothesis,) in enumerate(run(model, SearchConfig(method="greedy", max_length=10))):
        symbols, last = [], START
        while len(symbols) < 10 and (not symbols or last != END):
            last = int(model.log_probs[picture, len(symbols), last].argmax())
            symbols.append(last)
        assert with_end(hypothesis) == tuple(symbols)
        assert hypothesis.finished == (symbols[-1] == END)


def test_beam_of_one_in_beam_is_greedy():
    model = MarkovModel(seed=9, n_pictures=20)
    greedy = run(model, SearchConfig(method="greedy"))
    beam = run(model, SearchConfig(beam_size=1, finished="in_beam"))
    assert [h.ids for (h,) in greedy] == [h.ids for (h,) in beam]


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_pictures_together_equal_pictures_alone(method):
    model = MarkovModel(seed=11, n_pictures=7)
    config = SearchConfig(method=method, n_results=1 if method == "greedy" else 2, length_penalty=0.7, max_length=12)
    together = run(model, config)
    for picture in range(7):
        (alone,) = search(model.step, model.state(picture), START, END, config, 1)
        assert [(h.ids, h.token_log_probs, h.finished) for h in alone] == [
            (h.ids, h.token_log_probs, h.finished) for h in together[picture]
        ]
        for one, other in zip(alone, together[picture], strict=True):
            np.testing.assert_array_equal(one.attention, other.attention)


@pytest.mark.parametrize(("norm", "penalty"), [("gnmt", 0.0), ("gnmt", 1.0), ("power", 1.0), ("power", 0.3)])
def test_stopping_early_changes_no_result(monkeypatch, norm, penalty):
    config = SearchConfig(beam_size=3, n_results=2, max_length=15, length_penalty=penalty, length_norm=norm)
    model = MarkovModel(seed=13, n_pictures=60)
    stopped = run(model, config)
    rows_with = sum(model.rows_per_call)
    model.rows_per_call.clear()
    monkeypatch.setattr(search_module._Beam, "_is_decided", lambda self: False)
    assert [[h.ids for h in hypotheses] for hypotheses in run(model, config)] == [
        [h.ids for h in hypotheses] for hypotheses in stopped
    ]
    assert rows_with < sum(model.rows_per_call)


def test_first_step_and_done_pictures_cost_nothing_extra():
    model = MarkovModel(seed=17, n_pictures=10, sharpness=3)
    run(model, SearchConfig(beam_size=3, max_length=20))
    assert model.rows_per_call[0] == 10
    assert model.rows_per_call[-1] < 30


def published_search(model: MarkovModel, picture: int, beam_size: int, max_length: int):
    """The textbook reading: a finished sequence stays in the beam with its own score, everything else grows."""
    beam = [((), 0.0)]
    for _ in range(max_length):
        grown = []
        for symbols, total in beam:
            if symbols and symbols[-1] == 0:
                grown.append((symbols, total))
                continue
            last = symbols[-1] if symbols else 0
            log_probs = model.log_probs[picture, len(symbols), last]
            grown += [((*symbols, s), total + float(p)) for s, p in enumerate(log_probs)]
        beam = sorted(grown, key=lambda item: -item[1])[:beam_size]
    return beam


@pytest.mark.parametrize("beam_size", [1, 3, 5])
def test_start_and_end_may_share_an_id_and_in_beam_is_the_published_search(beam_size):
    model = MarkovModel(seed=19, n_pictures=30, n_symbols=6)
    config = SearchConfig(beam_size=beam_size, n_results=beam_size, max_length=6, finished="in_beam", forbidden=(0,))
    for picture, hypotheses in enumerate(run(model, config, start=0, end=0)):
        expected = published_search(model, picture, beam_size, 6)
        assert [with_end(h, end=0) for h in hypotheses] == [symbols for symbols, _ in expected]
        np.testing.assert_allclose([h.log_prob for h in hypotheses], [total for _, total in expected], rtol=1e-5)


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_no_ngram_comes_twice(method, n):
    model = MarkovModel(seed=23, n_pictures=15, n_symbols=4)
    free = run(model, SearchConfig(method=method, max_length=14, min_length=13))
    blocked = run(model, SearchConfig(method=method, max_length=14, min_length=2, block_ngram=n))

    def repeats(hypothesis: Hypothesis) -> bool:
        ngrams = [hypothesis.ids[i : i + n] for i in range(len(hypothesis.ids) - n + 1)]
        return len(set(ngrams)) < len(ngrams)

    assert any(repeats(h) for (h,) in free)
    assert not any(repeats(h) for hypotheses in blocked for h in hypotheses)


@pytest.mark.parametrize("method", ["beam", "greedy", "sample"])
def test_min_length_and_forbidden_symbols(method):
    model = MarkovModel(seed=29, n_pictures=15)
    config = SearchConfig(method=method, max_length=9, min_length=4, forbidden=(0, 3, END))
    for (hypothesis,) in run(model, config):
        assert len(hypothesis.ids) >= 4
        assert set(hypothesis.ids) <= {2, 4}


REPEATLESS = [
    {"method": "greedy"},
    {"method": "sample", "n_results": 4, "seed": 3},
    {"method": "sample", "n_results": 3, "temperature": 2.0, "top_k": 3, "top_p": 0.9},
    *({"beam_size": beam, "n_results": beam, "length_penalty": 0.7} for beam in (1, 3, 5, 8, 10)),
    {"beam_size": 4, "n_results": 4, "finished": "in_beam"},
    {"beam_size": 6, "n_results": 3, "groups": 3},
    {"beam_size": 3, "min_length": 9, "block_ngram": 3},
]


@pytest.mark.parametrize("options", REPEATLESS, ids=str)
def test_forbidden_repeats_are_as_if_the_model_gave_them_no_probability(options):
    model, without = (MarkovModel(seed=83, n_pictures=12, n_symbols=7) for _ in range(2))
    symbols = np.arange(7)
    model.log_probs[..., symbols, symbols] += 1.0  # which a free search would choose
    without.log_probs[:] = model.log_probs
    without.log_probs[..., symbols, symbols] = -np.inf  # not normalised: what is ruled out goes to nobody
    config = {"max_length": 30, "forbidden": (START,), **options}
    found, expected = run(model, SearchConfig(forbid_repeats=True, **config)), run(without, SearchConfig(**config))
    assert [[(h.ids, h.token_log_probs) for h in rows] for rows in found] == [
        [(h.ids, h.token_log_probs) for h in rows] for rows in expected
    ]
    free = run(model, SearchConfig(**config))
    assert any(a == b for rows in free for h in rows for a, b in itertools.pairwise(h.ids)), "nothing to forbid"


@pytest.mark.parametrize("beam_size", [1, 3, 5, 8, 10])
@pytest.mark.parametrize("n_symbols", [4, 40])
def test_long_sequences_without_repeats(beam_size, n_symbols):
    generator = np.random.default_rng(beam_size)
    log_probs = np.log(generator.dirichlet(np.ones(n_symbols), size=n_symbols)).astype(np.float32)
    config = SearchConfig(beam_size=beam_size, n_results=beam_size, max_length=150, min_length=120, forbid_repeats=True)
    (found,) = search(lambda ids, state: (log_probs[ids], None, state), (), START, END, config, 1)
    assert len(found) == beam_size
    for hypothesis in found:
        assert len(hypothesis.ids) >= 120
        assert all(a != b for a, b in itertools.pairwise(hypothesis.ids))


def test_the_first_symbol_repeats_nothing_and_one_symbol_alone_stops():
    log_probs = np.log(np.array([[0.9, 1e-9, 0.1]] * 3))
    for method in ("beam", "greedy", "sample"):
        config = SearchConfig(method=method, max_length=6, min_length=6, forbid_repeats=True)
        ((found,),) = search(lambda ids, state: (log_probs[ids], None, state), (), START, END, config, 1)
        assert set(zip(found.ids, found.ids[1:], strict=False)) == {(0, 2), (2, 0)}
        alone = SearchConfig(method=method, max_length=6, min_length=6, forbid_repeats=True, forbidden=(2,))
        ((cut,),) = search(lambda ids, state: (log_probs[ids], None, state), (), START, END, alone, 1)
        assert cut.ids == (0,)


def test_repeats_cost_nothing_where_they_are_allowed():
    assert build_filters(SearchConfig(), END) == build_filters(SearchConfig(forbid_repeats=False), END) == []
    assert len(build_filters(SearchConfig(forbid_repeats=True), END)) == 1


def test_sequences_without_end_are_cut_and_say_so():
    model = MarkovModel(seed=31, n_pictures=4)
    for method in ("beam", "greedy", "sample"):
        for (hypothesis,) in run(model, SearchConfig(method=method, max_length=5, min_length=5)):
            assert not hypothesis.finished
            assert len(hypothesis.ids) == len(hypothesis.token_log_probs) == 5


def test_finished_sequences_come_before_cut_ones():
    log_probs = np.log(np.array([[0.0, 0.05, 0.95], [1.0, 0.0, 0.0], [0.0, 0.05, 0.95]]) + 1e-9)

    def step(ids, state):
        return log_probs[ids], None, state

    (aside,) = search(step, (), 0, END, SearchConfig(beam_size=2, n_results=2, max_length=3), 1)
    assert [h.finished for h in aside] == [True, True]
    (in_beam,) = search(step, (), 0, END, SearchConfig(beam_size=2, max_length=3, finished="in_beam"), 1)
    assert in_beam[0].ids == (2, 2, 2)
    assert not in_beam[0].finished


def test_everything_ruled_out_ends_the_search_with_what_there_is():
    model = MarkovModel(seed=37, n_pictures=2, n_symbols=4)
    for method in ("beam", "greedy", "sample"):
        config = SearchConfig(method=method, max_length=9, min_length=9, block_ngram=1)
        for (hypothesis,) in run(model, config):
            assert sorted(hypothesis.ids) == [0, 2, 3]
            assert not hypothesis.finished
        assert run(model, SearchConfig(method=method, min_length=1, forbidden=(0, 2, 3))) == [[], []]
    everything = SearchConfig(beam_size=2, groups=2, min_length=1, forbidden=(0, 2, 3))
    assert run(model, everything) == [[], []]


def diverse_reading(model: MarkovModel, picture: int, groups: int, width: int, diversity: float, n_steps: int):
    """The paper's algorithm for sequences that cannot end: per group the kept symbols, as plainly as it can be put."""
    beams = [[((), 0.0)] for _ in range(groups)]
    for t in range(n_steps):
        taken: list[int] = []
        for g in range(groups):
            grown = []
            for symbols, total in beams[g]:
                log_probs = model.log_probs[picture, t, symbols[-1] if symbols else START]
                for s, p in enumerate(log_probs):
                    if s != END:
                        true = total + float(p)
                        grown.append((true - diversity * taken.count(s), true, (*symbols, s)))
            beams[g] = [(symbols, true) for _, true, symbols in sorted(grown, key=lambda item: -item[0])[:width]]
            taken += [symbols[-1] for symbols, _ in beams[g]]
    return beams


@pytest.mark.parametrize(("groups", "width", "diversity"), [(3, 1, 0.7), (2, 2, 0.5), (4, 1, 50.0)])
def test_diverse_beams_are_those_of_the_paper(groups, width, diversity):
    model = MarkovModel(seed=53, n_pictures=20, n_symbols=7)
    size = groups * width
    config = SearchConfig(
        beam_size=size, n_results=size, groups=groups, diversity=diversity, max_length=5, min_length=5
    )
    for picture, hypotheses in enumerate(run(model, config)):
        expected = diverse_reading(model, picture, groups, width, diversity, 5)
        found = {h.ids: h.log_prob for h in hypotheses}
        everything = {symbols: total for beam in expected for symbols, total in beam}
        assert found.keys() == everything.keys(), "no two alike, and no other ones"
        for symbols, total in everything.items():
            assert found[symbols] == pytest.approx(total, rel=1e-5), "avoiding is no part of the probability"
        if diversity > 10:  # then no place has the same symbol twice
            assert all(len(set(place)) == groups for place in zip(*found, strict=True))


def test_the_first_group_is_a_beam_search_of_its_size_and_comes_with_each_best_first():
    model = MarkovModel(seed=59, n_pictures=25, n_symbols=8)
    plain = run(model, SearchConfig(beam_size=2, max_length=31, min_length=2, length_penalty=0.7))
    options = {"beam_size": 6, "groups": 3, "max_length": 31, "min_length": 2, "length_penalty": 0.7}
    diverse = run(model, SearchConfig(n_results=3, **options))
    first_alone = run(model, SearchConfig(n_results=1, **options))
    for (best,), several, (one,) in zip(plain, diverse, first_alone, strict=True):
        assert best.ids in [h.ids for h in several]
        assert [h.score for h in several] == sorted((h.score for h in several), reverse=True)
        assert len({h.ids for h in several}) == len(several)
        assert all(h.finished and h.log_prob == pytest.approx(sum(h.token_log_probs)) for h in several)
        assert one.ids == several[0].ids


def test_diverse_results_differ_more_and_the_end_is_not_avoided():
    model = MarkovModel(seed=61, n_pictures=40, n_symbols=12, sharpness=2.0)
    common = {"beam_size": 4, "n_results": 4, "max_length": 12}

    def first_symbols(config: SearchConfig) -> float:
        return float(np.mean([len({h.ids[:1] for h in hypotheses}) for hypotheses in run(model, config)]))

    assert first_symbols(SearchConfig(groups=4, diversity=5.0, **common)) > first_symbols(SearchConfig(**common)) + 1
    log_probs = np.log(np.array([[1e-9, 1e-9, 0.5, 0.3, 0.2], *[[1e-9, 0.9, 0.04, 0.03, 0.03]] * 4]))
    (found,) = search(
        lambda ids, state: (log_probs[ids], None, state), (), 0, END,
        SearchConfig(beam_size=3, n_results=3, groups=3, diversity=5.0), 1,
    )  # fmt: skip
    assert [h.ids for h in found] == [(2,), (3,), (4,)], "each ends where it is likeliest to end"


def test_no_ngram_is_blocked_that_is_not_repeated():
    """With trigrams blocked, the best sequence is the best of all those without a repeated trigram."""
    model = MarkovModel(seed=67, n_pictures=6, n_symbols=4)
    config = SearchConfig(beam_size=4**6, max_length=6, block_ngram=3, min_length=5)
    for picture, (best,) in enumerate(run(model, config)):
        allowed = [
            (log_prob, symbols)
            for symbols, log_prob, finished in model.all_sequences(picture, 6)
            if finished and len(symbols) == 6 and len({symbols[i : i + 3] for i in range(3)}) == 3
        ]
        assert with_end(best) == max(allowed)[1]


def test_beams_by_average_prefer_longer_sequences_than_by_sum():
    model = MarkovModel(seed=71, n_pictures=60, sharpness=1.0)

    def mean_length(**options) -> float:
        return float(np.mean([len(h.ids) for (h,) in run(model, SearchConfig(beam_size=8, **options))]))

    by_sum, by_gnmt = mean_length(), mean_length(length_penalty=0.9)
    assert by_sum < by_gnmt < mean_length(length_penalty=1.0, length_norm="power")


def test_sampling_repeats_with_its_seed_and_follows_the_probabilities():
    model = MarkovModel(seed=41, n_pictures=1)
    config = SearchConfig(method="sample", n_results=4000, max_length=1)
    (first,) = run(model, config)
    (again,) = run(model, config)
    assert [h.ids for h in first] == [h.ids for h in again]
    (other,) = run(model, SearchConfig(method="sample", n_results=4000, max_length=1, seed=1))
    assert [h.ids for h in first] != [h.ids for h in other]
    counts = np.bincount([with_end(h)[0] for h in other], minlength=5) / 4000
    np.testing.assert_allclose(counts, np.exp(model.log_probs[0, 0, START]), atol=0.03)


def test_sampling_probabilities_keep_top_k_and_nucleus():
    log_probs = np.log(np.array([[0.1, 0.4, 0.2, 0.3], [0.7, 0.1, 0.1, 0.1]]))
    np.testing.assert_allclose(sampling_probabilities(log_probs, 1, 0, 1.0), np.exp(log_probs))
    np.testing.assert_allclose(sampling_probabilities(log_probs, 1, 2, 1.0)[0], [0, 4 / 7, 0, 3 / 7])
    assert (sampling_probabilities(log_probs, 1, 2, 1.0) > 0).sum(axis=1).tolist() == [2, 2]
    np.testing.assert_allclose(sampling_probabilities(log_probs, 1, 0, 0.65)[0], [0, 4 / 7, 0, 3 / 7])
    np.testing.assert_allclose(sampling_probabilities(log_probs, 1, 0, 0.65)[1], [1, 0, 0, 0])
    np.testing.assert_allclose(sampling_probabilities(log_probs, 1, 3, 0.5)[0], [0, 4 / 7, 0, 3 / 7])
    squared = np.exp(log_probs) ** 2
    np.testing.assert_allclose(
        sampling_probabilities(log_probs, 0.5, 0, 1.0), squared / squared.sum(axis=1, keepdims=True)
    )
    assert not sampling_probabilities(np.full((1, 4), -np.inf), 1, 2, 0.5).any()


def test_draw_never_takes_what_has_no_probability():
    probabilities = np.zeros((20000, 5))
    probabilities[:, 1], probabilities[:, 3] = 0.25, 0.75
    symbols = draw(probabilities, np.random.default_rng(0))
    assert set(symbols.tolist()) == {1, 3}
    assert abs((symbols == 3).mean() - 0.75) < 0.02


@pytest.mark.parametrize("options", [{"length_penalty": 1.0}, {"groups": 3, "diversity": 1.0}])
@pytest.mark.parametrize("n_memory", [0, 1])
def test_torch_state_grows_and_is_reordered_like_numpy_state(n_memory, options):
    torch = pytest.importorskip("torch")
    model = MarkovModel(seed=43, n_pictures=5)

    def step(ids, state):
        memory, cache = state  # (N, 1) the picture's number, (N, t) the symbols so far
        assert isinstance(cache, torch.Tensor)
        cache = torch.cat([cache, torch.from_numpy(ids)[:, None]], dim=1)
        pictures = memory[:, 0].numpy()
        steps = np.full(len(ids), cache.shape[1] - 1)
        log_probs, attention, _ = model.step(cache[:, -1].numpy(), (pictures, steps))
        history = cache.sum(dim=1, keepdim=True).numpy() % 2  # depends on all that came before
        return log_probs + 0.1 * history * log_probs, attention, (memory, cache)

    def numpy_step(ids, state):
        memory, cache = (torch.from_numpy(part) for part in state)
        log_probs, attention, state = step(ids, (memory, cache))
        return log_probs, attention, tuple(part.numpy() for part in state)

    config = SearchConfig(beam_size=3, n_results=3, max_length=8, **options)
    pictures = np.arange(5)[:, None]
    begin = np.zeros((5, 0), dtype=np.int64)
    with_torch = search(step, (torch.from_numpy(pictures), torch.from_numpy(begin)), START, END, config, 5, n_memory)
    with_numpy = search(numpy_step, (pictures, begin), START, END, config, 5, 0)
    assert [[h.ids for h in hypotheses] for hypotheses in with_torch] == [
        [h.ids for h in hypotheses] for hypotheses in with_numpy
    ]


def test_memory_is_not_copied_while_the_rows_stay():
    model = MarkovModel(seed=47, n_pictures=1, sharpness=0.1)
    seen = []

    def step(ids, state):
        memory, pictures, steps = state
        seen.append(memory)
        log_probs, attention, rest = model.step(ids, (pictures, steps))
        return log_probs, attention, (memory, *rest)

    search(step, (np.ones((1, 2)), *model.state()), START, END, SearchConfig(max_length=6, min_length=6), 1, n_memory=1)
    assert [len(memory) for memory in seen] == [1, 3, 3, 3, 3, 3]
    assert seen[1] is seen[-1]


def test_no_pictures_no_steps():
    model = MarkovModel(seed=1, n_pictures=1)
    assert search(model.step, (), START, END, SearchConfig(), 0) == []
    assert not model.rows_per_call


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"beam_size": 0}, "beam_size"),
        ({"max_length": 0}, "max_length"),
        ({"length_penalty": -1.0}, "length_penalty"),
        ({"length_norm": "square"}, "length_norm"),
        ({"method": "best"}, "method"),
        ({"temperature": 0.0}, "temperature"),
        ({"top_p": 0.0}, "top_p"),
        ({"n_results": 4}, "beam_size"),
        ({"n_results": 2, "method": "greedy"}, "greedy"),
        ({"groups": 0}, "groups"),
        ({"diversity": -0.1}, "diversity"),
        ({"groups": 2}, "multiple"),
        ({"groups": 3, "finished": "in_beam"}, "aside"),
        ({"groups": 3, "method": "sample"}, "method beam"),
    ],
)
def test_options_without_meaning_are_refused(options, named):
    with pytest.raises(ConfigurationError, match=named):
        SearchConfig(**options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n_rows", "n_symbols", "n"), [(1, 1, 3), (2, 7, 14), (3, 40, 6), (1, 2000, 5), (5, 9488, 10)])
def test_the_best_sums_are_those_of_sorting_all(n_rows: int, n_symbols: int, n: int, dtype: type):
    generator = np.random.default_rng(n_symbols)
    sums = np.round(4 * generator.normal(size=(n_rows, 1))) - 20.3
    for ruled_out in (0.0, 0.5, 0.999, 1.0):
        scores = np.round(3 * generator.normal(size=(n_rows, n_symbols))).astype(dtype)  # many are equal
        scores[generator.random(scores.shape) < ruled_out] = -np.inf
        places, totals = best_sums(scores, sums, n)
        everything = (scores + sums).ravel()
        expected = np.argsort(-everything, kind="stable")[:n]
        assert places.tolist() == expected.tolist()
        assert totals.tolist() == everything[expected].tolist()
