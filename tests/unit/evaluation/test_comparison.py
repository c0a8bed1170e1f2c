"""Comparing two results: by hand where nothing varies, and refusing what cannot be compared."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.core.errors import DataError
from optophone.evaluation.comparison import compare_results, figures_record, read_caption_result
from optophone.evaluation.metric import mean_figures
from optophone.evaluation.report import write_result

MEASURED = {"references": "abc", "tokenizer": "words", "document_frequency": "corpus"}


def result(path: Path, cider: np.ndarray, bleu: np.ndarray | None = None, **others: Any) -> Path:
    """A result file of pictures "0", "1", ... ."""
    figures = {"cider_d": mean_figures(cider)} | ({} if bleu is None else {"bleu": bleu})
    captions = {str(i): "a dog" for i in range(len(cider))}
    write_result(path, {**MEASURED, "captions": captions, "figures": figures_record(figures), **others})
    return path


def bleu_figures(found: int, n: int) -> np.ndarray:
    """Of n captions of ten words, `found` of each order are in the reference."""
    return np.tile(np.array([*[found] * 4, 10, 9, 8, 7, 10, 10], float), (n, 1))


def test_a_constant_difference_is_certain(tmp_path: Path):
    scores = np.random.default_rng(0).uniform(0, 2, 50)
    first = read_caption_result(result(tmp_path / "a.json", scores, bleu_figures(2, 50)))
    second = read_caption_result(result(tmp_path / "b.json", scores + 0.1, bleu_figures(4, 50)))
    bleu_4, cider_d = compare_results(first, second)[3:]
    assert (bleu_4.metric, cider_d.metric) == ("bleu_4", "cider_d")
    assert cider_d.difference == pytest.approx(10, abs=1e-3)
    assert cider_d.interval == pytest.approx((10, 10), abs=1e-3)
    assert cider_d.first == pytest.approx(100 * scores.mean(), abs=1e-3)
    assert cider_d.second_better == 1
    mean = (10 * 9 * 8 * 7) ** -0.25
    assert bleu_4.first == pytest.approx(100 * 2 * mean, rel=1e-6)
    assert bleu_4.interval == pytest.approx((100 * 2 * mean, 100 * 2 * mean), rel=1e-6)


def test_pairing_is_narrower_than_two_intervals(tmp_path: Path):
    generator = np.random.default_rng(1)
    scores, noise = generator.uniform(0, 2, 200), generator.normal(0, 0.05, 200)
    first = read_caption_result(result(tmp_path / "a.json", scores))
    second = read_caption_result(result(tmp_path / "b.json", scores + noise))
    (found,) = compare_results(first, second)
    assert found.interval[1] - found.interval[0] == pytest.approx(2 * 1.96 * 100 * 0.05 / 200**0.5, rel=0.25)
    assert found.interval[0] < found.difference < found.interval[1]
    (backwards,) = compare_results(second, first)
    assert backwards.difference == pytest.approx(-found.difference)
    assert backwards.second_better == pytest.approx(1 - found.second_better)


def test_pictures_are_matched_by_name(tmp_path: Path):
    scores = np.arange(10.0)
    first = read_caption_result(result(tmp_path / "a.json", scores))
    names = {str(i): "a cat" for i in reversed(range(10))}
    second = read_caption_result(result(tmp_path / "b.json", scores[::-1], captions=names))
    (found,) = compare_results(first, second)
    assert found.interval == (0, 0)
    assert found.second_better == 0.5


def test_what_cannot_be_compared_is_refused(tmp_path: Path):
    scores = np.arange(10.0)
    first = read_caption_result(result(tmp_path / "a.json", scores))
    other = read_caption_result(result(tmp_path / "b.json", scores, tokenizer="ptb"))
    with pytest.raises(DataError, match="different tokenizers, words and ptb"):
        compare_results(first, other)
    fewer = read_caption_result(result(tmp_path / "c.json", scores[:8]))
    with pytest.raises(DataError, match="2 pictures are in one of them only, such as '8'"):
        compare_results(first, fewer)
    (tmp_path / "old.json").write_text(json.dumps({"captions": {"a": "b"}, **MEASURED}))
    with pytest.raises(DataError, match="evaluate again"):
        read_caption_result(tmp_path / "old.json")
    for content in ("[]", "{", '{"captions": {}}'):
        (tmp_path / "no.json").write_text(content)
        with pytest.raises(DataError, match=r"no\.json"):
            read_caption_result(tmp_path / "no.json")
    result(tmp_path / "d.json", scores, captions={"0": "a"})
    with pytest.raises(DataError, match="figures of other pictures"):
        read_caption_result(tmp_path / "d.json")


def test_numbers_stand_in_one_line(tmp_path: Path):
    path = result(tmp_path / "a.json", np.arange(3.0), bleu_figures(1, 3), captions={str(i): "[\n1]" for i in range(3)})
    text = path.read_text()
    assert "[1, 1, 1, 1, 10, 9, 8, 7, 10, 10]" in text
    assert json.loads(text)["captions"]["0"] == "[\n1]"
