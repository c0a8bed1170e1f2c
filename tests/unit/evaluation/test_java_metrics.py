"""METEOR, SPICE and the Penn Treebank tokenizer, with a program in Java's place: what it gets, what is made of it."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from optophone.evaluation import java, spice
from optophone.evaluation.java import NotMeasuredError, java_version, run_java
from optophone.evaluation.meteor import meteor_score, meteor_statistics
from optophone.evaluation.ptb_tokenizer import tokenize_ptb

# "a dog is running" beside "the dog is running": words and function words; exact matches of dog, running and is; chunks
COUNTS = [4, 4, 2, 2, 2, 2, 1, 1, *[0] * 12, 1, 3, 3]
VERSION = "import sys\nif '-version' in sys.argv: sys.exit(print('openjdk version \"17.0.1\"', file=sys.stderr))\n"


@pytest.fixture
def stub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Puts Python code in the place of the program java, and empty jars in the place of the package's."""
    for folder, name in (("meteor", "meteor-1.5.jar"), ("tokenizer", "stanford-corenlp-3.4.1.jar"), ("spice", "x.jar")):
        (tmp_path / "package" / folder / "lib").mkdir(parents=True)
        (tmp_path / "package" / folder / name).touch()
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _: Found(str(tmp_path / "package")))

    def put(code: str, version: str = VERSION) -> None:
        program = tmp_path / "bin" / "java"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!{sys.executable}\n{version}{code}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(program.parent))

    return put


class Found:
    """What importlib says of a package."""

    def __init__(self, folder: str) -> None:
        self.submodule_search_locations = [folder]


def test_meteor_by_hand():
    # content words weigh .75 and function words .25: (.75 * 2 + .25 * 1) / (.75 * 2 + .25 * 2), of either side
    share = 1.75 / 2
    assert meteor_score(np.array(COUNTS, float)) == pytest.approx(share * (1 - 0.6 * (1 / 3) ** 0.2))
    stems = np.array([*COUNTS[:4], *[0] * 4, *COUNTS[4:8], *[0] * 8, *COUNTS[20:]], float)  # a stem is worth .6
    assert meteor_score(stems) == pytest.approx(0.6 * share * (1 - 0.6 * (1 / 3) ** 0.2))
    assert meteor_score(np.zeros((2, 23))).tolist() == [0, 0]


def test_meteor_weighs_recall_most():
    short = np.array([1, 2, 0, 0, 1, 1, 0, 0, *[0] * 12, 0, 1, 1], float)  # precision 1, recall .5
    assert meteor_score(short) == pytest.approx(1 * 0.5 / (0.85 * 1 + 0.15 * 0.5))


def test_meteor_is_given_references_and_caption(stub, tmp_path: Path):
    stub(
        f"open({str(tmp_path / 'given')!r}, 'w').write(text := sys.stdin.read())\n"
        f"for line in text.splitlines(): print({' '.join(map(str, COUNTS))!r})"
    )
    found = meteor_statistics([["a", "|||", "dog"], []], [[["the", "dog"], ["dog"]], [["x"]]])
    assert (tmp_path / "given").read_text() == "SCORE ||| the dog ||| dog ||| a dog\nSCORE ||| x ||| \n"
    np.testing.assert_array_equal(found, [COUNTS, COUNTS])


def test_a_caption_that_is_a_reference_is_not_scattered(stub):
    stub("print(*[2, 2, 0, 0, 2, 2, 0, 0, *[0] * 12, 1, 2, 2])")
    found = meteor_statistics([["two", "dogs"]], [[["two", "dogs"]]])
    assert meteor_score(found) == pytest.approx([1])


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit(print('Error: no memory', file=sys.stderr) or 1)", "METEOR failed: Error: no memory"),
        ("print(1, 2)", "METEOR gave 1 results for 1 captions"),
        ("pass", "METEOR gave 0 results"),
    ],
)
def test_meteor_that_fails_is_not_zero(stub, code: str, message: str):
    stub(code)
    with pytest.raises(NotMeasuredError, match=message):
        meteor_statistics([["a"]], [[["a"]]])


def test_a_program_that_does_not_end_is_ended(stub):
    stub("import time; time.sleep(60)")
    with pytest.raises(NotMeasuredError, match="METEOR did not finish within 1 s"):
        run_java("METEOR", ["-x"], "", timeout_s=1)


def test_what_is_missing_is_named(stub, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    stub("", version=VERSION.replace("17.0.1", "1.7.0_80"))
    with pytest.raises(NotMeasuredError, match=r"Java 8 or newer.*1\.7\.0"):
        java_version()
    stub("", version=VERSION.replace("17.0.1", "1.8.0_402"))
    assert java_version() == 8
    with pytest.raises(NotMeasuredError, match=r"stanford-corenlp-3\.6\.0-models\.jar.*OPTOPHONE_CORENLP"):
        spice.spice(["a"], [["a"]])
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasuredError, match="apt install default-jre-headless"):
        java_version()
    monkeypatch.setattr(java.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(NotMeasuredError, match=r"pip install 'optophone\[eval\]'"):
        meteor_statistics([["a"]], [[["a"]]])


def test_spice_reads_the_scores_in_the_order_of_the_pictures(stub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    library = tmp_path / "corenlp"
    library.mkdir()
    for name in spice.CORENLP:
        (library / name).touch()
    monkeypatch.setenv(spice.FOLDER_VARIABLE, str(library))
    kept = tmp_path / "given.json"
    stub(
        "import json\n"
        "given, out = sys.argv[sys.argv.index('edu.anu.spice.SpiceScorer') + 1], sys.argv[sys.argv.index('-out') + 1]\n"
        f"items = json.load(open(given)); json.dump([items, sys.argv], open({str(kept)!r}, 'w'))\n"
        "json.dump([{'image_id': i, 'scores': {'All': {'f': f}}} for i, f in ((2, None), (1, .25), (0, .5))],"
        " open(out, 'w'))"
    )
    found = spice.spice(["A dog.", "A cat.", "?"], [["a big dog", "dog"], ["cat"], ["x"]])
    assert found.tolist() == [0.5, 0.25, 0]
    items, arguments = json.loads(kept.read_text())
    assert items[0] == {"image_id": 0, "test": "A dog.", "refs": ["a big dog", "dog"]}
    assert any(part.startswith("--add-opens=java.base/java.lang") for part in arguments)
    classes = arguments[arguments.index("-cp") + 1].split(os.pathsep)
    assert str(library / spice.CORENLP[0]) in classes
    stub("pass")
    with pytest.raises(NotMeasuredError, match="left no results"):
        spice.spice(["A dog."], [["dog"]])


def test_the_penn_treebank_tokenizer_loses_punctuation_and_keeps_lines_apart(stub):
    stub("print(sys.stdin.read().lower().replace('.', ' .'), end='')")
    texts = ["A dog -- runs .", "", "two\nlines\u2028here.", "-LRB- -lrb-"]
    assert tokenize_ptb(texts) == [["a", "dog", "runs"], [], ["two", "lines", "here"], ["-lrb-", "-lrb-"]]
    assert tokenize_ptb([]) == []
    stub("print('one line')")
    with pytest.raises(NotMeasuredError, match="made 1 lines of 2"):
        tokenize_ptb(["a", "b"])
