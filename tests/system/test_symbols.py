"""One line of a configuration makes a captioner of words, of characters or of phones, from training to speech."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from optophone.cli.main import run
from optophone.core.bundle import open_bundle
from optophone.core.vocabulary import Vocabulary
from optophone.data.manifest import read_dataset
from optophone.export.acoustic import export_acoustic
from tiny_datasets import COLOURS, captioner_experiment, write_captioned_pictures, write_configuration
from tiny_models import symbols as tiny_texts
from tiny_models import tiny_acoustic

STEPS = {"words": 40, "characters": 120, "phones": 90}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured pictures with captions; those of the development split also as files."""
    folder = tmp_path_factory.mktemp("data")
    dataset = write_captioned_pictures(folder)
    for row, picture in zip(dataset.rows("dev"), dataset.array("dev", "pictures"), strict=True):
        Image.fromarray(np.asarray(picture)).save(folder / row["picture"], quality=95)
    return folder


def configuration(data: Path, symbols: str) -> dict[str, Any]:
    """The same for all symbols but for their own line, and for how long they are trained."""
    mapping = captioner_experiment(data)
    mapping["data"] |= {"max_symbols": 6, "batch_size": 6, "captions_per_picture": 2, "symbols": symbols}
    mapping["search"] = {"beam_size": 2, "max_length": 6}
    mapping["optimizer"] = {"learning_rate": 1e-2, "warmup_steps": 10}
    n_steps = STEPS[symbols]
    mapping["trainer"] |= {"max_steps": n_steps, "segment_steps": n_steps, "validate_every": 1}
    return mapping


@pytest.mark.parametrize("symbols", sorted(STEPS))
def test_from_training_to_a_caption(symbols: str, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    if symbols == "phones":
        pytest.importorskip("espeakng_loader")
    path = write_configuration(tmp_path / "tiny.yaml", configuration(data, symbols))
    assert run(["train", str(path), "--out", str(tmp_path / "run")]) == 0
    assert ("phone_error_rate" in capfd.readouterr().out) == (symbols == "phones")
    vocabulary = Vocabulary.load(tmp_path / "run/vocabulary.json")
    assert vocabulary.kind == symbols
    bundle = tmp_path / "captioner"
    assert run(["export", str(tmp_path / "run"), "-o", str(bundle), "--precision", "fp32"]) == 0
    n_per_word = {"words": 1, "characters": 5, "phones": 4}[symbols]
    assert open_bundle(bundle).manifest.configuration["search"]["max_length"] == 6 * n_per_word
    result = tmp_path / "result.json"
    assert run(["evaluate", "captions", str(bundle), str(data), "--no-java", "-q", "-o", str(result)]) == 0
    found = json.loads(result.read_text())
    assert found["scores"]["bleu_1"] > 80, found["captions"]
    assert found["scores"]["mean_length"] > 2.5, "words are counted, whatever they are written in"
    assert ("phone_error_rate" in found) == (symbols == "phones")
    if symbols == "phones":
        assert found["phone_error_rate"] < 0.2
        assert found["tokenizer"] == "phones"
    capfd.readouterr()
    check_the_caption_of_a_photo(symbols, data, bundle, capfd)
    if symbols != "phones":
        check_speech(bundle, data, tmp_path, capfd)


def check_the_caption_of_a_photo(symbols: str, data: Path, bundle: Path, capfd: pytest.CaptureFixture) -> None:
    """`optophone caption` names the colour in the symbols of the bundle; variants differ."""
    row = read_dataset(data).rows("dev")[0]
    colour = next(colour for colour in COLOURS if colour in row["captions"][0])
    assert run(["caption", str(data / row["picture"]), "-m", str(bundle), "--json", "--variants", "2"]) == 0
    said = json.loads(capfd.readouterr().out)
    assert len({variant["text"] for variant in said["variants"]}) == 2
    expected = {"red": "ɹ ˈɛ d", "green": "ɡ ɹ ˈiː n", "blue": "b l ˈuː"}[colour] if symbols == "phones" else colour
    assert expected in said["text"]


@pytest.mark.filterwarnings("ignore:the voice did not find")
def check_speech(bundle: Path, data: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    """What is written in letters or words is spelled by a voice over characters."""
    trained = tiny_acoustic()
    export_acoustic(trained, tmp_path / "voice", "fp32", tiny_texts(trained))
    system = tmp_path / "system"
    assert run(["export", str(bundle), str(tmp_path / "voice/fp32"), "-o", str(system)]) == 0
    photo = data / read_dataset(data).rows("dev")[0]["picture"]
    out = tmp_path / "said.wav"
    assert run(["speak", str(photo), "-m", str(system), "-o", str(out), "--json"]) == 0
    spoken = json.loads(capfd.readouterr().out.splitlines()[-1])
    assert spoken["text"]
    assert out.stat().st_size > 1000


def test_a_captioner_of_phones_is_not_given_to_a_voice_of_letters(
    data: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    pytest.importorskip("espeakng_loader")
    mapping = configuration(data, "phones")
    mapping["trainer"] |= {"max_steps": 1, "segment_steps": 1, "validate_every": 2}
    assert run(["train", str(write_configuration(tmp_path / "t.yaml", mapping)), "--out", str(tmp_path / "run")]) == 0
    assert run(["export", str(tmp_path / "run"), "-o", str(tmp_path / "captioner"), "--precision", "fp32"]) == 0
    trained = tiny_acoustic()
    export_acoustic(trained, tmp_path / "voice", "fp32", tiny_texts(trained))
    parts = [str(tmp_path / "captioner"), str(tmp_path / "voice/fp32")]
    assert run(["export", *parts, "-o", str(tmp_path / "system")]) == 2
    assert "writes phones" in capfd.readouterr().err
