"""Photo → speech → what an ear makes of it, scored as captions, with all controls, as users type it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optophone.cli import listening, spoken_caption_evaluation
from optophone.cli.caption_controls import Controls, read_controls
from optophone.cli.main import run
from optophone.cli.options import SearchOptions
from optophone.core.audio import read_wave
from optophone.core.bundle import BundleWriter
from optophone.core.errors import ConfigurationError
from optophone.core.vocabulary import build_units
from optophone.data.manifest import Dataset, read_dataset, write_dataset, write_manifest
from tiny_bundles import BRIGHT, DARK, picture, write_captioner, write_system, write_vocoder, write_voice
from tiny_recognizers import sing, write_recognizer

CAPTIONS = {
    True: [BRIGHT, "a dog runs over the green grass", "the dog runs on 2 fields"],
    False: [DARK, "the cat sleeps in deep snow", "a cat lies in some snow"],
}
RATE = 16000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two bright pictures and then dark ones; songs about all but the last, of two captions each, and their units."""
    folder = tmp_path_factory.mktemp("data")
    pictures = folder / "pictures"
    pictures.mkdir()
    for split, n in (("train", 6), ("dev", 5)):
        rows = []
        for i in range(n):
            name = f"{split}-{i}.png"
            Image.fromarray(picture(i < 2)).save(pictures / name)
            rows.append({"id": name, "picture": name, "captions": CAPTIONS[i < 2]})
        write_manifest(pictures / f"{split}.jsonl", rows)
    finish(pictures, "tiny")
    write_songs_about(folder / "songs", read_dataset(pictures))
    write_units_of(folder / "units", read_dataset(folder / "songs"))
    write_recognizer(folder / "ear")
    write_system(folder / "textless", units=True)
    write_system(folder / "cascade")
    return folder


def finish(folder: Path, name: str, source: str = "here", **options: Any) -> Dataset:
    splits = ["train", "dev"]
    return write_dataset(folder, name, splits=splits, options=options, source=source, layout="tiny", licence="none")


def write_songs_about(folder: Path, pictures: Dataset) -> None:
    """Captions 1 and 2 of the pictures, sung, so that the tiny ear hears every word; nobody sings about the last."""
    folder.mkdir()
    for split in ("train", "dev"):
        rows, offset, waves = [], 0, []
        for row in pictures.rows(split)[:-1]:
            for index in (1, 2):
                text = row["captions"][index].replace("2", "two")
                waves.append(np.round(sing(text, RATE) * 32767).astype(np.int16))
                about = {"picture_id": row["id"], "caption_index": index, "text": text}
                place = {"audio": f"{split}.npy", "offset": offset, "n_samples": len(waves[-1]), "sample_rate": RATE}
                rows.append({"id": f"{row['id']}-{index}", **about, **place})
                offset += len(waves[-1])
        np.save(folder / f"{split}.npy", np.concatenate(waves))
        write_manifest(folder / f"{split}.jsonl", rows)
    finish(folder, "songs")


def write_units_of(folder: Path, speech: Dataset) -> None:
    """Units of the songs: those that the tiny captioner writes of bright and of dark pictures."""
    folder.mkdir()
    for split in ("train", "dev"):
        rows = []
        for row in speech.rows(split):
            units = "1 2 3 4 5" if "dog" in row["text"] else "8 7 6"
            rows.append({"id": row["id"], "units": units, "picture_id": row["picture_id"]})
        write_manifest(folder / f"{split}.jsonl", rows)
    build_units(9).save(folder / "vocabulary.json")
    options = {"run_length": "collapsed", "unit_s": 0.02, "speech": speech.hash()}
    finish(folder, "units", str(speech.folder), **options)


def evaluate(data: Path, system: str, output: Path, *more: str) -> dict[str, Any]:
    """The result of the command."""
    arguments = ["evaluate", "spoken-captions", str(data / system), str(data / "pictures"), "-o", str(output), "-q"]
    jobs = () if "--jobs" in more else ("--jobs", "1")
    assert run([*arguments, "--recognizer", str(data / "ear"), "--no-java", *jobs, *more]) == 0
    return json.loads(output.read_text())


def test_a_textless_system_beside_all_controls(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    controls = [f"units={data / 'units'}", f"cascade={data / 'cascade'}", "shuffled", "constant"]
    options = [option for control in controls for option in ("--control", control)]
    samples = tmp_path / "samples"
    more = (*options, "--samples", str(samples), "--n-samples", "1")
    found = evaluate(data, "textless", tmp_path / "a.json", *more)
    rows = found["rows"]
    names = ["system", "cascade", "cascade_written", "speech", "units", "speech_written", "shuffled", "constant"]
    assert list(rows) == names
    assert found["kind"] == "spoken captions"
    assert found["recognizer"]["order"] == 0
    assert found["recognizer"]["knows"] == "any words"
    assert found["scores"] == rows["system"]["scores"]
    assert rows["system"]["system_less_this"] is None
    assert rows["system"]["word_error_rate"] is None, "nobody knows which words units mean"
    assert (rows["speech"]["pictures"], rows["speech"]["left_out"]) == (4, 1), "nobody sings about the last picture"
    assert rows["speech"]["word_error_rate"]["rate"] == 0
    assert rows["speech"]["scores"] == rows["speech_written"]["scores"], "all of it was heard"
    assert rows["speech"]["held_out"]
    assert 0 < rows["speech"]["scores"]["bleu_1"] < 90, "what was sung is no reference of itself"
    assert rows["units"]["word_error_rate"]["rate"] > 0.5, "the tiny voice sings nothing"
    difference = rows["speech"]["system_less_this"]["bleu_1"]
    assert difference["difference"] == pytest.approx(difference["system"] - difference["this"])
    assert difference["interval"][1] < 0, "the songs are better than the tiny system"
    assert rows["cascade_written"]["scores"]["bleu_4"] == pytest.approx(100, abs=0.1), "it writes a human caption"
    assert rows["constant"]["scores"]["n_distinct_captions"] == 1
    assert rows["shuffled"]["references"] != rows["system"]["references"]
    units = found["unit_captions"]
    assert units["bleu_2"] == pytest.approx(100)
    assert (units["length_ratio"], units["loop_rate"], units["no_end_rate"]) == (1, 0, 0)
    assert units["shuffled_bleu_4"] < 60, "bright and dark pictures are exchanged"
    out = capfd.readouterr().out
    assert "true speech" in out
    assert "on the true speech here 0.000 of its words are wrong" in out
    listed = [json.loads(line) for line in (samples / "heard.jsonl").read_text().splitlines()]
    assert [one["row"] for one in listed] == ["system", "cascade", "speech", "units"]
    assert [len(read_wave(samples / one["wave"])[0]) > 1000 for one in listed] == [True] * 4
    assert listed[2]["heard"] == listed[2]["said"]


def test_the_songs_are_those_that_were_sung_each_time(data: Path, tmp_path: Path) -> None:
    control = ("--control", f"speech={data / 'songs'}")
    evaluate(data, "textless", tmp_path / "a.json", *control)
    evaluate(data, "textless", tmp_path / "b.json", *control, "--limit", "3")

    def sung(name: str) -> dict[str, str]:
        lines = [json.loads(line) for line in (tmp_path / name).read_text().splitlines()]
        return {one["picture"]: one["item"] for one in lines if one["row"] == "speech" and "item" in one}

    all_of_them, some = sung("a.heard.jsonl"), sung("b.heard.jsonl")
    assert len(some) in (2, 3)
    assert some.items() <= all_of_them.items()


def test_a_system_that_writes_says_what_voice_and_ear_cost(data: Path, tmp_path: Path) -> None:
    found = evaluate(data, "cascade", tmp_path / "a.json")
    assert list(found["rows"]) == ["system", "system_written"]
    assert found["rows"]["system"]["word_error_rate"]["n_words"] == 30
    assert found["rows"]["system_written"]["system_less_this"]["cider_d"]["difference"] < 0
    assert found["unit_captions"] is None


def test_a_killed_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output, spoken = tmp_path / "a.json", []
    build = spoken_caption_evaluation.build_system

    def counted(bundle: str, search: SearchOptions) -> listening.Speaker:
        speaker = build(bundle, search)

        def speak(source: Any) -> Any:
            spoken.append(source)
            if len(spoken) == 3:
                raise KeyboardInterrupt
            return speaker(source)

        return speak

    monkeypatch.setattr(spoken_caption_evaluation, "build_system", counted)
    command = ["evaluate", "spoken-captions", str(data / "textless"), str(data / "pictures"), "-o", str(output), "-q"]
    command += ["--recognizer", str(data / "ear"), "--no-java", "--jobs", "1"]
    assert run(command) == 130
    assert not output.exists()
    assert run(command) == 0
    assert len(spoken) == 3 + 3, "two of five had been heard"
    assert json.loads(output.read_text())["captions"].keys() == {f"dev-{i}.png" for i in range(5)}
    assert run(command) == 0
    assert len(spoken) == 6, "nothing is left to hear"


def test_another_recogniser_is_not_mixed_in(data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    output = tmp_path / "a.json"
    evaluate(data, "cascade", output)
    command = ["evaluate", "spoken-captions", str(data / "cascade"), str(data / "pictures"), "-o", str(output), "-q"]
    assert run([*command, "--recognizer", str(data / "ear"), "--order", "2", "--no-java"]) == 2
    assert "a.heard.jsonl: 'system' was heard with another recognizer" in capfd.readouterr().err


def test_what_another_evaluation_heard_is_taken_over(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = ("--control", f"speech={data / 'songs'}")
    evaluate(data, "textless", tmp_path / "a.json", *control)
    monkeypatch.setattr(spoken_caption_evaluation, "build_recordings", lambda folder: pytest.fail("sung again"))
    for name, before in (("b", tmp_path / "a.heard.jsonl"), ("c", tmp_path)):
        found = evaluate(data, "cascade", tmp_path / f"{name}.json", *control, "--heard-before", str(before))
        assert found["rows"]["speech"]["word_error_rate"]["rate"] == 0


def test_words_come_from_train_and_from_nowhere_else(data: Path, tmp_path: Path) -> None:
    ear = spoken_caption_evaluation.choose_ear(str(data / "ear"), 2, read_dataset(data / "pictures"), "dev")
    assert ear.facts["knows"]["captions"] == 18
    assert ear.facts["knows"]["split"] == "train"
    assert {"dog", "cat", "two"} <= {word for sentence in ear.sentences for word in sentence}
    found = evaluate(data, "cascade", tmp_path / "a.json", "--order", "1", "--control", f"speech={data / 'songs'}")
    assert found["recognizer"]["knows"]["words"] == len({word for one in ear.sentences for word in one})
    assert found["rows"]["speech"]["word_error_rate"]["rate"] == 0


def test_several_processes_hear_the_same(data: Path, tmp_path: Path) -> None:
    first = evaluate(data, "textless", tmp_path / "a.json")
    second = evaluate(data, "textless", tmp_path / "b.json", "--jobs", "2")
    assert first["captions"] == second["captions"]


def test_saying_nothing_counts(data: Path, tmp_path: Path) -> None:
    parts = {kind: kind for kind in ("captioner", "acoustic", "vocoder")}
    with BundleWriter(tmp_path / "mute", kind="system", cls="cascade", name="mute", parts=parts) as writer:
        write_captioner(writer.path("captioner"), sentences=("", ""))
        write_voice(writer.path("acoustic"))
        write_vocoder(writer.path("vocoder"))
    options = ["--control", "shuffled", "--samples", str(tmp_path / "samples")]
    found = evaluate(data, str(tmp_path / "mute"), tmp_path / "a.json", *options)
    assert set(found["captions"].values()) == {""}
    assert found["scores"]["cider_d"] == 0
    assert found["scores"]["n_pictures"] == 5
    assert found["rows"]["system"]["word_error_rate"] is None
    listed = (tmp_path / "samples/heard.jsonl").read_text().splitlines()
    assert [json.loads(line)["wave"] for line in listed] == [None] * 5


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--order", "0", "--recognizer", "pocketsphinx"], "pocketsphinx knows its words"),
        (["--split", "train", "--order", "1"], "which train must not be"),
        (["--split", "train", "--control", "constant"], "for another split"),
        (["--control", "loud"], "--control loud: no such control"),
        (["--control", "speech"], "there are speech=FOLDER, units=FOLDER, cascade=SYSTEM, shuffled, constant"),
        (["--control", "shuffled", "--control", "shuffled"], "shuffled is there already"),
    ],
)
def test_what_makes_no_sense_is_said_in_a_line(
    data: Path, more: list[str], message: str, capfd: pytest.CaptureFixture
) -> None:
    command = ["evaluate", "spoken-captions", str(data / "cascade"), str(data / "pictures"), "-q", "--no-java"]
    if "pocketsphinx" in more:
        pytest.importorskip("pocketsphinx")
    else:
        command += ["--recognizer", str(data / "ear")]
    assert run([*command, "--jobs", "1", *more]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_units_and_words_are_told_apart(data: Path, capfd: pytest.CaptureFixture) -> None:
    command = ["evaluate", "spoken-captions", "--recognizer", str(data / "ear"), str(data / "cascade")]
    assert run([*command, str(data / "pictures"), "--control", f"units={data / 'units'}"]) == 2
    assert "writes no units" in capfd.readouterr().err
    assert run([*command, str(data / "pictures"), "--control", f"cascade={data / 'textless'}"]) == 2
    assert "writes units; give a system that writes words" in capfd.readouterr().err


def test_controls_are_read() -> None:
    found = read_controls(["units=a=b", "cascade=default", "constant"])
    assert found == Controls(units=Path("a=b"), cascade="default", constant=True)
    with pytest.raises(ConfigurationError, match="no such control"):
        read_controls(["shuffled=yes"])
