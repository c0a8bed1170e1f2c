"""Rates, boundaries, words, phones and speakers of units, against counts by hand."""

import math

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.boundaries import boundary_score, count_hits, even_boundaries, r_value
from optophone.evaluation.code_words import code_words
from optophone.evaluation.phone_information import phone_information
from optophone.evaluation.speaker_probe import ProbeConfig, commonest_share, deal_out, probe_speakers, unit_histograms
from optophone.evaluation.unit_rates import entropy, unit_rates


def test_entropy_of_coins() -> None:
    assert entropy(np.array([3, 3, 3])) == 0
    assert entropy(np.array([0, 1])) == pytest.approx(1)
    assert entropy(np.array([0, 0, 0, 1])) == pytest.approx(2 - 0.75 * math.log2(3))


def test_rates_by_hand() -> None:
    # 8 frames of 50 ms; runs 1 (2 frames), 2 (1), 1 (1) and 2 (2), 1 (2).
    rates = unit_rates([np.array([1, 1, 2, 1]), np.array([2, 2, 1, 1])], n_codes=5, unit_s=0.05)
    assert (rates.n_codes, rates.used_codes) == (5, 2)
    assert rates.entropy_bits == pytest.approx(entropy(np.array([1, 1, 1, 1, 1, 2, 2, 2])))
    assert rates.perplexity == pytest.approx(2**rates.entropy_bits)
    assert rates.frames_per_s == pytest.approx(20)
    assert rates.units_per_s == pytest.approx(5 / 0.4)
    assert rates.bits_per_s_frames == pytest.approx(20 * rates.entropy_bits)
    of_units, of_lengths = entropy(np.array([1, 2, 1, 2, 1])), entropy(np.array([2, 1, 1, 2, 2]))
    assert rates.bits_per_s_collapsed == pytest.approx(12.5 * of_units)
    assert rates.bits_per_s_lossless == pytest.approx(12.5 * (of_units + of_lengths))
    with pytest.raises(DataError):
        unit_rates([np.zeros(0, np.int64)], 5, 0.05)


@pytest.mark.parametrize(
    ("found", "true", "hits"),
    [
        ([0.1, 0.2], [0.1, 0.2], 2),
        ([0.12, 0.22], [0.1, 0.2], 2),  # exactly the tolerance
        ([0.13], [0.1], 0),
        ([0.09, 0.11], [0.1], 1),  # one true boundary is found once
        ([0.1], [0.09, 0.11], 1),
        ([0.1, 0.12], [0.11, 0.13], 2),
        ([], [0.1], 0),
    ],
)
def test_boundaries_are_paired_one_to_one(found: list[float], true: list[float], hits: int) -> None:
    assert count_hits(np.array(found), np.array(true), 0.02) == hits


def test_boundary_scores_by_hand() -> None:
    true = [np.array([0.1, 0.2, 0.3, 0.4])]
    score = boundary_score([np.array([0.0, 0.11, 0.15, 0.3, 0.9])], true, 0.02)  # the outer two are in the silence
    assert (score.n_found, score.n_true) == (3, 4)
    assert (score.precision, score.recall, score.f1) == pytest.approx((2 / 3, 1 / 2, 4 / 7))
    from_ideal, from_line = math.hypot(0.5, -0.25), abs(0.5 - 1 + 0.25) / math.sqrt(2)
    assert score.r_value == pytest.approx(1 - (from_ideal + from_line) / 2)
    assert score.f1_interval == pytest.approx((4 / 7, 4 / 7))  # of a single utterance
    perfect = boundary_score(true, true, 0.02)
    assert (perfect.precision, perfect.recall, perfect.f1, perfect.r_value) == (1, 1, 1, 1)
    nothing = boundary_score([np.zeros(0)], true, 0.02)
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)
    with pytest.raises(DataError):
        boundary_score([np.array([0.1])], [np.zeros(0)], 0.02)


def test_boundaries_everywhere_have_a_low_r_value() -> None:
    true = [np.arange(0.1, 2.0, 0.1)]
    everywhere = boundary_score([np.arange(0.1, 1.9, 0.01)], true, 0.02)
    assert everywhere.recall == 1
    assert everywhere.r_value < -5 < 0 < everywhere.f1
    assert r_value(10, 10, 10) == 1


def test_even_boundaries_are_as_many() -> None:
    even = even_boundaries([np.array([0.0, 0.5, 0.55, 0.9])], [np.array([0.5, 1.3])], 0.02)
    np.testing.assert_allclose(even[0], 0.5 + 0.8 * np.array([1, 3, 5]) / 6)
    assert len(even_boundaries([np.array([0.1])], [np.zeros(0)], 0.02)[0]) == 0


def test_each_word_has_its_best_code() -> None:
    labels = ["dog", "dog", "dog", "cat", "cat", None, "a"]
    codes = [[1, 2], [1, 1, 3], [4], [3], [3, 2], [1], [0]]
    found = code_words(labels, [np.array(one) for one in codes], n_codes=6, fewest=2)
    # Code 3 is in three occurrences, two of them "cat"; code 1 in three, two of them "dog", which is said three times.
    assert [(one.word, one.code, one.n_occurrences) for one in found] == [("cat", 3, 2), ("dog", 1, 3)]
    assert (found[0].precision, found[0].recall, found[0].f1) == pytest.approx((2 / 3, 1, 0.8))
    assert (found[1].precision, found[1].recall, found[1].f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    with pytest.raises(DataError, match="4 times"):
        code_words(labels, [np.array(one) for one in codes], 6, fewest=4)


def test_a_code_of_its_own_is_perfect() -> None:
    labels = [word for word in ("one", "two", "three") for _ in range(12)]
    codes = [np.array([len(label)]) if label != "two" else np.array([7, 7]) for label in labels]
    assert all(one.f1 == one.precision == one.recall == 1 for one in code_words(labels, codes, 8))


def test_information_by_hand() -> None:
    phones = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    perfect = phone_information(10 - phones, phones)
    assert (perfect.mutual_information_bits, perfect.pnmi, perfect.phone_purity, perfect.unit_purity) == (1, 1, 1, 1)
    nothing = phone_information(np.tile([5, 6], 4), phones)
    assert (nothing.pnmi, nothing.phone_purity, nothing.unit_purity) == pytest.approx((0, 0.5, 0.5))
    split = phone_information(np.array([0, 0, 1, 1, 2, 2, 2, 2]), phones)
    assert (split.pnmi, split.phone_purity, split.unit_purity) == pytest.approx((1, 1, 0.75))
    part = phone_information(np.array([0, 0, 0, 1, 1, 1, 1, 1]), phones)
    assert part.mutual_information_bits == pytest.approx(1 - 5 / 8 * entropy(np.array([0, 1, 1, 1, 1])))
    with pytest.raises(DataError):
        phone_information(np.array([1, 2]), np.array([3, 3]))


def test_the_probe_tells_speakers_that_differ_and_no_others() -> None:
    random = np.random.default_rng(0)
    speakers = ["s", "t", "u"] * 20
    own = {"s": [0.8, 0.1, 0.1], "t": [0.1, 0.8, 0.1], "u": [0.1, 0.1, 0.8]}
    told = unit_histograms([random.choice(3, 50, p=own[name]) for name in speakers], 4)
    np.testing.assert_allclose(np.square(told).sum(1), 1)
    assert probe_speakers(told, speakers, ProbeConfig()).accuracy > 0.95
    alike = unit_histograms([random.choice(3, 50) for _ in speakers], 4)
    score = probe_speakers(alike, speakers, ProbeConfig())
    assert score.interval[0] < score.accuracy < score.interval[1]
    assert score.accuracy < 0.6
    assert commonest_share(["s", "s", "t", "s"]) == 0.75


def test_every_speaker_is_in_every_part() -> None:
    speakers = ["s"] * 11 + ["t"] * 5
    parts = deal_out(speakers, ProbeConfig())
    assert sorted(parts[11:]) == [0, 1, 2, 3, 4]
    assert np.bincount(parts[:11]).tolist() == [3, 2, 2, 2, 2]
    with pytest.raises(DataError, match="t has 4"):
        deal_out(speakers[:-1], ProbeConfig())
    with pytest.raises(DataError, match="two of them"):
        deal_out(["s"] * 9, ProbeConfig())
