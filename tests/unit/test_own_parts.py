"""Other people's parts in the place of a bundle's, in Python, on the command line and in the server."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

import optophone
from optophone.cli.say import say
from optophone.cli.speak import speak
from optophone.core.errors import BundleError, ConfigurationError
from optophone.core.protocols import Caption
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.own_parts import load_describer, load_voice, name_of
from optophone.pipelines import TextVoice, TokenPipeline, Voice
from tiny_bundles import BRIGHT, picture, words, write_system


class Beeper:
    """A synthesizer: ten samples a letter, as high as the speaker is far."""

    sample_rate = 8000
    speakers = ("low", "high")
    level = 0.25

    def spell(self, text: str, phonemes: bool = False) -> np.ndarray:
        return np.array([ord(letter) for letter in text], dtype=np.int64)

    def wave(self, ids: np.ndarray, speed: float = 1.0) -> np.ndarray:
        return np.full(round(10 * len(ids) / speed), self.level, np.float32)

    def with_speaker(self, speaker: int) -> "Beeper":
        other = Beeper()
        other.level = 0.25 * (speaker + 1)
        return other


class Parrot:
    """A captioner that spells for itself."""

    vocabulary = Vocabulary("characters", ("<pad>", "x"))
    search = SearchConfig(max_length=7)

    def caption(self, picture: np.ndarray, search: SearchConfig) -> list[Caption]:
        assert search.max_length == 7
        return [Caption((1,), -0.5, 0.6, text="a parrot. it talks")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("bundles") / "system")


@pytest.fixture(scope="module")
def of_units(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("bundles") / "units", units=True)


def test_a_voice_of_ones_own_speaks_the_bundles_captions(folder: Path) -> None:
    pipeline = optophone.load(folder, voice=Beeper(), threads=1)
    spoken = pipeline(picture())
    assert (spoken.text, spoken.sample_rate) == (BRIGHT, 8000)
    assert len(spoken.wave) == 10 * len(BRIGHT)
    np.testing.assert_array_equal(np.concatenate(list(pipeline.stream(picture()))), spoken.wave)
    assert len(pipeline(picture(), speed=2.0).wave) == 5 * len(BRIGHT)
    assert pipeline.adjusted(speaker="high")(picture()).wave.max() == pytest.approx(0.5)


def test_a_captioner_of_ones_own_is_spoken_by_the_bundle(folder: Path) -> None:
    pipeline = optophone.load(folder, captioner=Parrot(), threads=1)
    assert isinstance(pipeline, TokenPipeline)
    spoken = pipeline(picture())
    assert (spoken.text, spoken.confidence) == ("a parrot. it talks", 0.6)
    assert isinstance(pipeline.voice, Voice)
    np.testing.assert_array_equal(spoken.wave, pipeline.say("a parrot. it talks").wave)


def test_with_both_there_is_no_bundle(folder: Path) -> None:
    pipeline = optophone.load(captioner=Parrot(), voice=Beeper())
    silence = round(0.2 * 8000)
    assert len(pipeline(picture()).wave) == 10 * len("a parrot.it talks") + silence
    with pytest.raises(ConfigurationError, match="no use for a model"):
        optophone.load(folder, captioner=Parrot(), voice=Beeper())


def test_bundles_lend_their_parts(folder: Path) -> None:
    pipeline = optophone.load(captioner=folder, voice=folder, threads=1)
    np.testing.assert_array_equal(pipeline(picture()).wave, optophone.load(folder, threads=1)(picture()).wave)
    assert load_describer(captioner=str(folder)).captioner.vocabulary == words()
    assert isinstance(load_voice(voice=str(folder)), Voice)


def test_what_cannot_be_joined_is_refused(folder: Path, of_units: Path) -> None:
    with pytest.raises(BundleError, match="the captioner writes units, the voice reads text"):
        optophone.load(of_units, voice=Beeper())
    with pytest.raises(ConfigurationError, match="only a bundle's voice takes another vocoder"):
        load_voice(voice=Beeper(), vocoder=folder)
    with pytest.raises(ConfigurationError, match="no voice; give piper:FILE"):
        load_voice(voice="transformers:x")
    with pytest.raises(BundleError, match="no bundle of this name"):
        load_voice(voice="pipe:x.onnx")


def test_the_server_has_a_name_for_it(folder: Path) -> None:
    assert name_of(folder, None) == "tiny"
    assert name_of(None, folder) == "tiny"
    assert name_of(None, "transformers:models/blip") == "blip"


def test_the_commands_take_a_voice(folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("espeakng_loader")
    Image.fromarray(picture()).save(tmp_path / "photo.png")
    arguments = [str(tmp_path / "photo.png"), "--captioner", str(folder), "--voice", "espeak:en-gb", "--json"]
    arguments += ["-o", str(tmp_path / "out.wav")]
    result = CliRunner().invoke(speak, arguments, standalone_mode=False)
    assert result.return_value == 0, result.output
    record = json.loads(result.stdout)
    assert (record["text"], record["sample_rate"]) == (BRIGHT, 22050)
    assert soundfile.info(tmp_path / "out.wav").duration > 1
    result = CliRunner().invoke(
        say, ["Hello there.", "--voice", "espeak", "-o", str(tmp_path / "say.wav")], standalone_mode=False
    )
    assert result.return_value == 0, result.output
    assert soundfile.info(tmp_path / "say.wav").duration > 0.4
    result = CliRunner().invoke(say, ["Hello.", "--voice", "espeak", "-m", str(folder)])
    assert result.exit_code == 2
    assert "leave it or --voice out" in result.stderr


def test_the_server_speaks_with_it(folder: Path) -> None:
    pytest.importorskip("fastapi", reason="the extra serve is not installed")
    from served import served

    file = io.BytesIO()
    Image.fromarray(picture()).save(file, "PNG")
    pipeline: Any = optophone.load(folder, voice=TextVoice(Beeper()), threads=1)
    with served(pipeline) as running:
        described = running.post("/v1/describe?response_format=wav", file.getvalue())
        wave, rate = soundfile.read(io.BytesIO(described.body))
        assert (rate, len(wave)) == (8000, 10 * len(BRIGHT))
        text = {"input": "Hello there.", "voice": "high", "response_format": "wav"}
        wave, _ = soundfile.read(io.BytesIO(running.post("/v1/audio/speech", text).body))
        assert len(wave) == 10 * len("Hello there.")
        assert wave.max() == pytest.approx(0.5, abs=1e-3)
        assert running.get("/v1/models").json["data"][0]["voices"] == ["low", "high"]
