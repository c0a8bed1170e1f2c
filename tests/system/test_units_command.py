"""`optophone units` as users type it: sounds, data sets, and what goes wrong."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from optophone.cli.main import run
from optophone.core.audio import encode_wave, read_wave, resample, write_wave
from optophone.core.units import collapse, expand
from optophone.data.manifest import read_dataset
from optophone.data.unit_column import read_unit_column
from optophone.runtime.load import load_unit_encoder
from tiny_bundles import write_captioner
from tiny_datasets import (
    units_experiment,
    wavenet_units_experiment,
    write_captioned_pictures,
    write_configuration,
    write_speech,
    write_spoken_captions,
)
from tiny_units import speech, write_k_means, write_units, write_utterances, write_wavenet_units


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_units(tmp_path_factory.mktemp("units")))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two sounds: 16 kHz mono, and stereo at an odd rate."""
    monkeypatch.chdir(tmp_path)
    write_wave("a.wav", speech(1.0, 1), 16000)
    both = np.stack((speech(0.9, 2, 22051), speech(0.9, 3, 22051)), axis=1)
    soundfile.write("b.flac", both, 22051)
    return tmp_path


def units_of(path: str, bundle: str, quantizer: int | None = None) -> np.ndarray:
    encoder = load_unit_encoder(bundle, quantizer=quantizer)
    return encoder.units(read_wave(path, encoder.sample_rate)[0])


def test_a_line_of_units_a_sound(here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["units", "a.wav", "-m", bundle]) == 0
    vocabulary = load_unit_encoder(bundle).vocabulary
    expected = vocabulary.decode(collapse(units_of("a.wav", bundle)).units)
    assert capfd.readouterr().out == f"{expected}\n"
    assert run(["units", "a.wav", "b.flac", "-m", bundle]) == 0
    first, second = capfd.readouterr().out.splitlines()
    assert first == f"a.wav: {expected}"
    assert second == "b.flac: " + vocabulary.decode(collapse(units_of("b.flac", bundle)).units)


@pytest.mark.parametrize("quantizer", [2, 3])
def test_runs_as_they_are_asked_for(quantizer: int, here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    vocabulary, ids = load_unit_encoder(bundle, quantizer=quantizer).vocabulary, units_of("a.wav", bundle, quantizer)
    arguments = ["units", "a.wav", "-m", bundle, "--quantizer", str(quantizer), "--run-length"]
    assert run([*arguments, "off"]) == 0
    assert vocabulary.encode(capfd.readouterr().out) == ids.tolist()
    assert run([*arguments, "lossless"]) == 0
    runs = [run_.partition("*") for run_ in capfd.readouterr().out.split()]
    units = vocabulary.encode(" ".join(unit for unit, _, _ in runs))
    np.testing.assert_array_equal(expand(units, [int(length or 1) for _, _, length in runs]), ids)


def test_json_and_a_file(here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    arguments = ["units", "a.wav", "b.flac", "-m", bundle, "--json", "--run-length", "lossless", "-o", "units.jsonl"]
    assert run(arguments) == 0
    assert capfd.readouterr().out == ""
    records = [json.loads(line) for line in Path("units.jsonl").read_text().splitlines()]
    assert [record["audio"] for record in records] == ["a.wav", "b.flac"]
    for record in records:
        ids = load_unit_encoder(bundle).vocabulary.encode(record["units"])
        np.testing.assert_array_equal(expand(ids, record["lengths"]), units_of(record["audio"], bundle))
        assert record["unit_s"] == 0.04
        assert record["n_frames"] == sum(record["lengths"])


def test_standard_input(here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    assert run(["units", "a.wav", "-m", bundle]) == 0
    command = [sys.executable, "-m", "optophone", "units", "-", "-m", bundle]
    piped = subprocess.run(command, input=Path("a.wav").read_bytes(), capture_output=True, check=True)
    assert piped.stdout.decode() == capfd.readouterr().out


WITHOUT_TORCH = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "lightning", "onnx", "yaml", "safetensors", "tqdm"):
            raise ModuleNotFoundError(f"{name} is blocked", name=name)
sys.meta_path.insert(0, Block())
from optophone.cli.main import run
sys.exit(run(sys.argv[1:]))
"""


@pytest.mark.parametrize("kind", ["network", "wavenet", "k-means"])
def test_sounds_and_data_sets_need_no_torch(kind: str, here: Path, bundle: str) -> None:
    write = {"wavenet": write_wavenet_units, "k-means": write_k_means}
    model = bundle if kind == "network" else str(write[kind](here / kind))
    write_utterances(here / "speech", n=3)
    for arguments in (["a.wav"], ["speech", "-o", "column"]):
        command = [sys.executable, "-c", WITHOUT_TORCH, "units", *arguments, "-m", model]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert len(read_unit_column("column").texts("train")) == 3


def damaged(name: str) -> str:
    """A sound that cannot be used; its file."""
    whole = encode_wave(speech(1.0, 1), 16000, "wav")
    content = {
        "silent.wav": encode_wave(np.zeros(16000, np.float32), 16000, "wav"),
        "flat.wav": encode_wave(np.full(16000, 0.5, np.float32), 16000, "wav"),
        "short.wav": encode_wave(speech(0.01, 1), 16000, "wav"),
        "empty.wav": b"",
        "header.wav": whole[:44],
        "torn.flac": encode_wave(speech(1.0, 1), 16000, "flac")[:8000],
        "text.wav": b"these are no samples",
    }
    if name in content:
        Path(name).write_bytes(content[name])
    return name


BAD = ["silent.wav", "flat.wav", "short.wav", "empty.wav", "header.wav", "torn.flac", "text.wav", "missing.wav"]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sound_is_one_line_and_stops_no_other(
    name: str, here: Path, bundle: str, capfd: pytest.CaptureFixture
) -> None:
    assert run(["units", damaged(name), "a.wav", "-m", bundle]) == 2
    out, err = capfd.readouterr()
    assert out.startswith("a.wav: ")
    assert err.startswith(f"optophone: {name}")
    assert err.count("\n") == 1
    assert run(["units", name, "-m", bundle, "--json"]) == 2
    assert json.loads(capfd.readouterr().out)["error"]


MISTAKES = {
    "another kind of bundle": (["a.wav", "-m", "captioner"], "of kind captioner"),
    "no bundle": (["a.wav", "-m", "nowhere"], "nowhere: no bundle"),
    "a torn graph": (["a.wav", "-m", "torn"], "units.onnx"),
    "no such quantizer": (["a.wav", "-m", "BUNDLE", "--quantizer", "5"], "no quantizer at position 5"),
    "a shard of a sound": (["a.wav", "-m", "BUNDLE", "--shard", "1/2"], "belong to data sets"),
    "a shard that there is not": (["data", "-m", "BUNDLE", "-o", "c", "--shard", "3/2"], "I/N"),
    "a folder that is no data set": (["data", "-m", "BUNDLE", "-o", "c"], "no finished data set"),
    "a data set and nowhere to write": (["data", "-m", "BUNDLE"], "-o for the folder"),
    "two data sets": (["data", "data", "-m", "BUNDLE", "-o", "c"], "its folder alone"),
    "a file in no folder": (["a.wav", "-m", "BUNDLE", "-o", "no/where.txt"], "no/where.txt"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes_are_told(name: str, here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    write_captioner(Path("captioner"))
    torn = write_units(here / "scratch").rename("torn") / "units.onnx"
    torn.write_bytes(torn.read_bytes()[:-100])
    Path("data").mkdir()
    arguments, says = MISTAKES[name]
    assert run(["units", *(bundle if one == "BUNDLE" else one for one in arguments)]) == 2
    assert says in capfd.readouterr().err
    assert not Path("c").exists()


def test_a_data_set_becomes_a_column_in_shares(here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    write_utterances(here / "speech", n=3)
    arguments = ["units", "speech", "-m", bundle, "-o", "column"]
    assert run([*arguments, "--shard", "2/2"]) == 0
    assert "share 2/2 is done; parts left to others: 1" in capfd.readouterr().out
    assert run([*arguments, "--shard", "1/2"]) == 0
    assert "join them without --shard" in capfd.readouterr().out
    assert run(arguments) == 0
    assert "column: units are ready (3 train, 2 dev)" in capfd.readouterr().out
    assert run(arguments) == 0
    assert "nothing to do" in capfd.readouterr().out
    column = read_unit_column("column")
    assert (column.run_length, column.unit_s) == ("lossless", 0.04)
    for name, ids in column.frames("train").items():
        np.testing.assert_array_equal(ids, units_of(f"speech/audio/{name}.wav", bundle))
    assert run([*arguments, "--quantizer", "2"]) == 2
    assert "quantizer 3 there, 2 asked for" in capfd.readouterr().err


def test_a_data_set_with_a_bad_sound(here: Path, bundle: str, capfd: pytest.CaptureFixture) -> None:
    write_utterances(here / "speech", n=3)
    (here / "speech/audio/train1.wav").write_bytes(b"nothing")
    arguments = ["units", "speech", "-m", bundle, "-o", "column"]
    assert run(arguments) == 2
    err = capfd.readouterr().err.splitlines()
    assert len(err) == 2
    assert "train1.wav" in err[0]
    assert "sounds without units: 1" in err[1]
    assert run([*arguments, "--skip-bad"]) == 0
    assert list(read_unit_column("column").texts("train")) == ["train0", "train2"]


def test_units_are_trained_exported_and_written(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    pictures = write_captioned_pictures(tmp_path / "pictures", size=16)
    spoken = write_spoken_captions(tmp_path / "speech", pictures)
    mapping = units_experiment(pictures.folder, spoken.folder)
    mapping["model"] |= {"quantizers": [2, 3], "n_codes": [8, 6]}
    configuration = write_configuration(tmp_path / "units.yaml", mapping)
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "bundle")]) == 0
    assert "same_units 1" in capfd.readouterr().out
    assert "quantizer 3: 6 units of 40 ms" in (tmp_path / "bundle/CARD.md").read_text()
    arguments = ["units", str(spoken.folder), "-m", str(tmp_path / "bundle"), "-o", str(tmp_path / "column")]
    assert run(arguments) == 0
    captions = read_unit_column(tmp_path / "column").captions("train")
    assert {name: len(texts) for name, texts in captions.items()} == {row["id"]: 2 for row in pictures.rows("train")}


def test_units_of_a_wavenet_are_trained_exported_and_written(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    folders = [write_speech(tmp_path / name).folder for name in ("one", "other")]
    configuration = write_configuration(tmp_path / "units.yaml", wavenet_units_experiment(*folders))
    bundle, column = str(tmp_path / "bundle"), str(tmp_path / "column")
    assert run(["train", str(configuration), "--out", str(tmp_path / "run")]) == 0
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "rounded"), "--precision", "int8"]) == 2
    assert "--precision" in capfd.readouterr().err
    assert run(["export", str(tmp_path / "run"), "-o", bundle]) == 0
    assert "same_units 1" in capfd.readouterr().out
    assert "- 8 units of 20 ms" in (tmp_path / "bundle/CARD.md").read_text()
    assert run(["units", str(folders[0]), "-m", bundle, "-o", column, "--quantizer", "2"]) == 2
    assert "leave --quantizer out" in capfd.readouterr().err
    assert run(["units", str(folders[0]), "-m", bundle, "-o", column]) == 0
    units, encoder = read_unit_column(column), load_unit_encoder(bundle)
    dataset = read_dataset(folders[0])
    for row in dataset.rows("train"):
        expected = collapse(encoder.units(resample(*dataset.wave(row), encoder.sample_rate)))
        assert units.texts("train")[row["id"]] == encoder.vocabulary.decode(expected.units)
