"""The caption metrics against pycocoevalcap itself on 200 pictures of Flickr8k."""

import random
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from optophone.core.text import tokenize_caption
from optophone.evaluation.bleu import bleu_scores, bleu_statistics
from optophone.evaluation.captions import evaluate_captions
from optophone.evaluation.cider import CiderD
from optophone.evaluation.java import NotMeasuredError, coco_folder, run_java
from optophone.evaluation.meteor import JAR, meteor_score, meteor_statistics
from optophone.evaluation.ptb_tokenizer import tokenize_ptb
from optophone.evaluation.rouge import rouge_l

pytestmark = pytest.mark.shared_data
N_PICTURES = 200


@pytest.fixture(scope="module")
def captions(shared_dir: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """One caption to score per picture (its own fifth, or another picture's) and four references."""
    file = shared_dir / "data/flickr8k/Flickr8k_text/Flickr8k.token.txt"
    if not file.is_file():
        pytest.skip("Flickr8k is not beside the project")
    human: dict[str, list[str]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        name, caption = line.split("\t")
        human.setdefault(name.split("#")[0], []).append(caption)
    names = sorted(human)[:N_PICTURES]
    generator = random.Random(0)
    sources = [name if generator.random() < 0.5 else generator.choice(names) for name in names]
    hypotheses = {name: human[source][4] for name, source in zip(names, sources, strict=True)}
    return hypotheses, {name: human[name][:4] for name in names}


@pytest.fixture(scope="module")
def tokens(captions) -> tuple[list[list[str]], list[list[list[str]]]]:
    hypotheses, references = captions
    return (
        [tokenize_caption(caption) for caption in hypotheses.values()],
        [[tokenize_caption(caption) for caption in references[name]] for name in hypotheses],
    )


@pytest.fixture(scope="module")
def joined(tokens) -> tuple[dict[int, list[str]], dict[int, list[str]]]:
    """The same in the layout of pycocoevalcap: references, then captions."""
    scored, human = tokens
    return (
        {i: [" ".join(caption) for caption in some] for i, some in enumerate(human)},
        {i: [" ".join(caption)] for i, caption in enumerate(scored)},
    )


def test_bleu(tokens, joined):
    module = pytest.importorskip("pycocoevalcap.bleu.bleu", reason="pycocoevalcap is not installed")
    expected, _ = module.Bleu(4).compute_score(*joined, verbose=0)
    np.testing.assert_allclose(bleu_scores(bleu_statistics(*tokens).sum(axis=0)), expected, atol=1e-9)


def test_cider_d(tokens, joined):
    module = pytest.importorskip("pycocoevalcap.cider.cider", reason="pycocoevalcap is not installed")
    expected, per_picture = module.Cider().compute_score(*joined)
    scores = CiderD(tokens[1]).score(tokens[0])
    np.testing.assert_allclose(scores, per_picture, atol=1e-9)
    assert scores.mean() == pytest.approx(expected)


def test_rouge_l(tokens, joined):
    module = pytest.importorskip("pycocoevalcap.rouge.rouge", reason="pycocoevalcap is not installed")
    _, per_picture = module.Rouge().compute_score(*joined)
    np.testing.assert_allclose(rouge_l(*tokens), per_picture, atol=1e-9)


def test_meteor(tokens):
    """Our sums and formula are those of METEOR's own, for each caption and for the set; 40 pictures, as it is slow."""
    scored, human = ([*some[:38], other, []] for some, other in zip(tokens, (tokens[1][38][0], None), strict=True))
    human[38:] = tokens[1][38:40]
    try:
        figures = meteor_statistics(scored, human)
        lines = " ||| ".join(["EVAL", *(" ".join(map(str, row)) for row in figures)]) + "\n"
        arguments = ["-jar", str(coco_folder("meteor") / JAR), "-", "-", "-stdio", "-l", "en", "-norm"]
        expected = [float(line) for line in run_java("METEOR", arguments, lines, timeout_s=600).split()]
    except NotMeasuredError as error:
        pytest.skip(str(error))
    np.testing.assert_allclose([*meteor_score(figures), meteor_score(figures.sum(axis=0))], expected, atol=1e-9)
    assert expected[38] == pytest.approx(1)  # a caption that is its own reference
    assert expected[39] == 0  # no words


def test_our_tokenizer_gives_the_words_of_the_penn_treebank_tokenizer(shared_dir: Path):
    """All captions of Flickr8k: one in a thousand may differ, by a sign or an abbreviation's dot."""
    file = shared_dir / "data/flickr8k/Flickr8k_text/Flickr8k.token.txt"
    captions = [line.split("\t")[1] for line in file.read_text(encoding="utf-8").splitlines()]
    try:
        theirs = tokenize_ptb(captions)
    except NotMeasuredError as error:
        pytest.skip(str(error))
    apart = [caption for caption, words in zip(captions, theirs, strict=True) if tokenize_caption(caption) != words]
    assert len(apart) <= len(captions) / 1000 + 5
    assert all(re.search(r"[#&()=]|\w[.']\w|\b(?:mr|jr|n|u|p)\b|cannot", caption, re.IGNORECASE) for caption in apart)


def test_whole_evaluation_with_the_penn_treebank_tokenizer(captions):
    """The tokenizers differ in what little is spoken differently; the scores may differ by a tenth of a point."""
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap is not installed")
    bleu = pytest.importorskip("pycocoevalcap.bleu.bleu")
    cider = pytest.importorskip("pycocoevalcap.cider.cider")
    if shutil.which("java") is None:
        pytest.skip("the Penn Treebank tokenizer needs java")
    hypotheses, references = captions
    split = tokenizer.PTBTokenizer().tokenize
    human = split({name: [{"caption": caption} for caption in some] for name, some in references.items()})
    scored = split({name: [{"caption": caption}] for name, caption in hypotheses.items()})
    scores = evaluate_captions(hypotheses, references)
    assert scores.bleu_4 == pytest.approx(100 * bleu.Bleu(4).compute_score(human, scored, verbose=0)[0][3], abs=0.1)
    assert scores.cider_d == pytest.approx(100 * cider.Cider().compute_score(human, scored)[0], abs=0.5)
