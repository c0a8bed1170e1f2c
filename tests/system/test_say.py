"""`optophone say` as users type it: controls, lines, JSON lines, piper's names, honest warnings."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from optophone.cli.main import run
from optophone.core.vocabulary import build_phones
from tiny_bundles import write_system, write_voice

RATE = 8000


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_system(tmp_path_factory.mktemp("bundles") / "system"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(*arguments: str, stdin: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "optophone", "say", *arguments]
    return subprocess.run(command, input=stdin.encode(), capture_output=True, timeout=120, check=False)


def said(*arguments: str) -> np.ndarray:
    assert run(["say", *arguments, "-o", "x.wav", "-q"]) == 0
    return soundfile.read("x.wav", dtype="float32")[0]


def test_volume_and_silence(here: Path, system: str) -> None:
    plain = said("One. Two.", "-m", system)
    soft, loud = (said("One. Two.", "-m", system, "--volume", volume) for volume in ("-20dB", "40"))
    np.testing.assert_allclose(soft, 0.1 * plain, atol=1e-4)
    assert 0.9 < np.abs(loud).max() <= 1
    apart = said("One. Two.", "-m", system, "--sentence-silence", "1")
    assert len(apart) - len(plain) == round(0.8 * RATE)
    slow = said("One. Two.", "-m", system, "--length-scale", "2", "--sentence-silence", "0")
    assert len(slow) == pytest.approx(2 * (len(plain) - 0.2 * RATE), abs=3)


def test_pipers_names(here: Path, system: str) -> None:
    assert run(["say", "Hello.", "-m", system, "--output-file", "a.flac", "-q"]) == 0
    assert run(["say", "Hello.", "-m", system, "-f", "b.flac", "-q"]) == 0
    assert Path("a.flac").read_bytes() == Path("b.flac").read_bytes()
    raw = call("Hello.", "-m", system, "--output-raw", stdin="")
    assert len(raw.stdout) == 2 * soundfile.info("a.flac").frames
    streamed = call("Hello.", "-m", system, "--stream", stdin="")
    assert streamed.stdout[44:] == raw.stdout


@pytest.mark.parametrize("kind", ["wav", "flac", "ogg", "mp3"])
def test_every_kind_of_file_is_written_as_it_is_spoken(here: Path, system: str, kind: str) -> None:
    assert run(["say", "One two. Three four.", "-m", system, "-o", f"x.{kind}", "-q"]) == 0
    assert soundfile.info(f"x.{kind}").format == {"ogg": "OGG", "mp3": "MP3"}.get(kind, kind.upper())
    assert [path.name for path in here.iterdir()] == [f"x.{kind}"]


def test_lines_of_a_text_or_of_standard_input(here: Path, system: str) -> None:
    assert run(["say", "One.\n\nTwo.", "--lines", "-o", "spoken", "--format", "ogg", "-m", system, "-q"]) == 0
    assert sorted(path.name for path in Path("spoken").iterdir()) == ["0001.ogg", "0003.ogg"]
    assert call("--lines", "-m", system, "-q", stdin="One.\n").returncode == 0
    assert call("--output-dir", "more", "-m", system, "-q", stdin="One.\n").returncode == 0
    assert Path("0001.wav").read_bytes() == Path("more/0001.wav").read_bytes()


def test_lines_of_json(here: Path, system: str) -> None:
    lines = [
        {"text": "Hello there.", "output_file": "deep/a.mp3"},
        {"text": "Hello there.", "speed": 2, "output_file": "fast.wav"},
        {"text": "Hello there.", "length_scale": 1, "speaker_id": 0, "output_file": "same.wav"},
        {"text": "Hello there."},
    ]
    bad = ["no json", '["text"]', '{"text": 3}', '{"text": "a", "loud": 1}', '{"text": "a", "speed": "x"}']
    bad += ['{"text": "a", "speaker": "nobody"}', '{"text": "a", "output_file": "x.xyz"}', '{"text": "..."}']
    content = "\n".join([*map(json.dumps, lines), *bad])
    done = call("--json-lines", "--json", "-m", system, "-o", "rest.wav", "-q", stdin=content)
    assert done.returncode == 2
    records = [json.loads(line) for line in done.stdout.splitlines()]
    assert [record.get("output") for record in records[:4]] == ["deep/a.mp3", "fast.wav", "same.wav", "rest.wav"]
    assert all("error" in record for record in records[4:])
    messages = done.stderr.decode().splitlines()
    assert [message.split(":")[1].strip() for message in messages] == [f"line {n}" for n in range(5, 13)]
    assert soundfile.info("same.wav").frames == soundfile.info("rest.wav").frames
    assert soundfile.info("fast.wav").frames == pytest.approx(soundfile.info("same.wav").frames / 2, abs=1)
    files = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert files == ["deep/a.mp3", "fast.wav", "rest.wav", "same.wav"]


def test_phonemes_for_a_voice_of_letters(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    typed = said("HH AH0 L OW1 | W ER1 L D", "--phonemes", "-m", system)
    np.testing.assert_array_equal(typed, said("{HH AH0 L OW1} {W ER1 L D}", "-m", system))
    assert run(["say", "hello", "--phonemes", "-m", system]) == 2
    assert "'hello' is no ARPAbet phone" in capfd.readouterr().err


def test_phonemes_for_a_voice_of_phones(here: Path, capfd: pytest.CaptureFixture) -> None:
    voice = str(write_voice(here / "voice", build_phones(["h ə l oʊ | w ɜː l d"])))
    assert len(said("h ə l oʊ | w ɜː l d", "--phonemes", "-m", voice)) > 0
    assert run(["say", "h ə q", "--phonemes", "-m", voice, "-o", "y.wav"]) == 2
    assert "no symbol 'q'" in capfd.readouterr().err
    assert not Path("y.wav").exists()


def test_a_voice_speaks_by_its_dictionary(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    """Words that it has are said as their phones; others, and a copy that is given no other, as before."""
    Path("words.dict").write_text("hello HH AH0 L OW1 # as in hello\nthe DH AH0\n")
    parts = [f"{system}/{kind}" for kind in ("captioner", "acoustic", "vocoder")]
    assert run(["export", *parts, "-o", "mine", "--pronunciations", "words.dict"]) == 0
    assert run(["export", "mine/acoustic", "mine/vocoder", "-o", "copy"]) == 0
    assert "pronouncing dictionary: words.dict, 2 words" in Path("mine/acoustic/CARD.md").read_text()
    typed = said("Oh, {HH AH0 L OW1}!", "-m", system)
    for voice in ("mine", "copy"):
        np.testing.assert_array_equal(said("Oh, hello!", "-m", voice), typed)
    assert not np.array_equal(said("Oh, hello!", "-m", system), typed)
    np.testing.assert_array_equal(said("Oh, ho!", "-m", "mine"), said("Oh, ho!", "-m", system))
    phones = write_voice(here / "phones", build_phones(["h ə l oʊ"]))
    capfd.readouterr()
    for part in (f"{system}/captioner", str(phones)):
        assert run(["export", part, "-o", "none", "--pronunciations", "words.dict"]) == 2
        assert "learned phones beside letters" in capfd.readouterr().err
        assert not Path("none").exists()


def test_a_dictionary_beside_a_voice_that_reads_no_phones_is_refused(here: Path, capfd: pytest.CaptureFixture) -> None:
    folder = write_voice(here / "voice", build_phones(["h ə l oʊ"]))
    content = b"hello HH AH0 L OW1\n"
    (folder / "pronunciations.txt").write_bytes(content)
    manifest = json.loads((folder / "bundle.json").read_text())
    record = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest["files"]["pronunciations.txt"] = record
    (folder / "bundle.json").write_text(json.dumps(manifest))
    assert run(["say", "h", "-m", str(folder), "-o", "x.wav"]) == 2
    assert "its voice reads no phones" in capfd.readouterr().err
    assert not Path("x.wav").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hello", "--speaker", "bob"], "one speaker: 'tiny-voice' (0)"),
        (["hello", "--volume", "loud"], "no number"),
        (["hello", "--sentence-silence", "-1"], "sentence silence: -1 s is out of range"),
        (["hello", "--lines", "-o", "-"], "--lines"),
        (["日本語"], "nothing to say"),
        (["hello", "-o", "x.xyz"], "x.xyz"),
        (["hello", "--length-scale", "9"], "speed"),
    ],
)
def test_mistakes_are_one_line(
    here: Path, system: str, capfd: pytest.CaptureFixture, arguments: list[str], says: str
) -> None:
    assert run(["say", *arguments, "-m", system]) == 2
    err = capfd.readouterr().err
    assert says in err
    assert err.count("\n") == 1
    assert list(here.iterdir()) == []


def test_what_cannot_be_spelled_is_warned_of(here: Path, system: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["say", "Hello 日本 café", "-m", system, "-o", "x.wav", "--json", "-q"]) == 0
    out, err = capfd.readouterr()
    assert "left out what the voice cannot spell: '日本'" in err
    assert err.count("\n") == 1
    assert json.loads(out)["warnings"] == [err.removeprefix("optophone: warning: ").rstrip("\n")]


def test_babble_is_warned_of_in_json_too(here: Path, capfd: pytest.CaptureFixture) -> None:
    endless = str(write_voice(here / "endless", stops=False))
    for options in ([], ["--stream"]):
        assert run(["say", "hello", "-m", endless, "-o", "x.wav", "--json", "-q", *options]) == 0
        out, err = capfd.readouterr()
        assert err.count("did not find its end") == 1
        assert "did not find its end" in json.loads(out)["warnings"][0]


def test_a_long_text_is_cut_up_and_written_piece_by_piece(
    here: Path, system: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from optophone.core.audio import WaveWriter

    sizes = []
    write = WaveWriter.write
    monkeypatch.setattr(WaveWriter, "write", lambda self, wave: sizes.append(len(wave)) or write(self, wave))
    assert run(["say", "a dog. " * 30, "-m", system, "-o", "x.wav", "-q"]) == 0
    assert len(sizes) == 30
    assert max(sizes) < RATE
    assert soundfile.info("x.wav").frames == sum(sizes)
