"""Piper voices: a tiny graph with a real one's inputs and output, made here.

It gives 100 samples an id at `length_scale` 1. Their height is the id, plus 1,000 for each place of the speaker, so
that the sound says what was asked for.
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from optophone.adapters.espeak import EspeakVoice
from optophone.adapters.piper import PiperVoice, phonemes_of
from optophone.adapters.piper_config import PiperConfig
from optophone.core.errors import ConfigurationError, TextError
from optophone.own_parts import load_voice
from tiny_bundles import save_graph

GRAPH = """
piper (int64[1,S] input, int64[1] input_lengths, float[3] scales{speaker}) => (float[1,1,1,N] output) {{
  ids = Cast<to=1>(input)
  {raise_ids}
  length = Gather<axis=0>(scales, index_one)
  hundred_times = Mul(length, hundred)
  repeats = Cast<to=7>(hundred_times)
  column = Unsqueeze(raised, axis_two)
  one_row = Unsqueeze(repeats, axis_zero)
  shape = Concat<axis=0>(ones, one_row)
  wide = Expand(column, shape)
  output = Reshape(wide, flat)
}}
"""
LETTERS = "abdefghijklmnoprstuvwzæðŋɐɑɔəɛɜɡɪɹʃʊʌʒˈˌːɾɚ"
IDS = {"_": [0], "^": [1], "$": [2], " ": [3], ",": [4], ".": [5], "?": [6]}
IDS |= {letter: [number] for number, letter in enumerate(LETTERS, start=7)}


@pytest.fixture
def voice_file(tmp_path: Path) -> Any:
    """A function that writes a voice and gives its path."""

    def write(name: str = "voice.onnx", n_speakers: int = 1, graph: str = GRAPH, **changes: Any) -> Path:
        speaker, raise_ids = "", "raised = Identity(ids)"
        if n_speakers > 1:
            speaker, raise_ids = ", int64[1] sid", "high = Cast<to=1>(sid)\n far = Mul(high, thousand)"
            raise_ids += "\n raised = Add(ids, far)"
        constants = {
            "index_one": np.array(1), "hundred": np.float32(100), "thousand": np.float32(1000),
            "axis_two": np.array([2]), "axis_zero": np.array([0]), "ones": np.array([1, 1]),
            "flat": np.array([1, 1, 1, -1]),
        }  # fmt: skip
        if n_speakers == 1:
            del constants["thousand"]
        save_graph(tmp_path / name, graph.format(speaker=speaker, raise_ids=raise_ids), constants)
        content = {
            "audio": {"sample_rate": 16000, "quality": "x_low"},
            "espeak": {"voice": "en-us"},
            "inference": {"noise_scale": 0.5, "length_scale": 1, "noise_w": 0.8},
            "phoneme_type": "text",
            "phoneme_map": {},
            "phoneme_id_map": IDS,
            "num_symbols": 256,
            "num_speakers": n_speakers,
            "speaker_id_map": {"anna": 0, "bert": 1} if n_speakers > 1 else {},
            **changes,
        }
        content = {name: value for name, value in content.items() if value is not None}
        (tmp_path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
        return tmp_path / name

    return write


def ids_of(text: str) -> list[int]:
    """Begin, pad, then each phoneme with a pad after it, end: as the published voices were trained."""
    return [1, 0, *(number for letter in text for number in (IDS[letter][0], 0)), 2]


def test_letters_become_ids_and_ids_become_sound(voice_file: Any) -> None:
    voice = PiperVoice(voice_file())
    ids = voice.spell("a dog.")
    assert ids.tolist() == ids_of("a dog.")
    wave = voice.wave(ids)
    assert (wave.dtype, voice.sample_rate, voice.speakers) == (np.float32, 16000, ("voice",))
    np.testing.assert_allclose(wave, np.repeat(ids, 100) / max(ids), atol=1e-6)


def test_length_and_speed_say_how_fast(voice_file: Any) -> None:
    path = voice_file(inference={"length_scale": 2})
    own = PiperVoice(path)
    assert own.config == PiperConfig(0.667, 2.0, 0.8)
    ids = own.spell("dog")
    assert len(own.wave(ids)) == 200 * len(ids)
    assert len(own.wave(ids, speed=4.0)) == 50 * len(ids)
    assert len(PiperVoice(path, PiperConfig(length_scale=0.5)).wave(ids)) == 50 * len(ids)
    chosen = load_voice(voice=f"piper:{path},length-scale=3,noise_scale=0")
    assert chosen.synthesizer.config == PiperConfig(0.0, 3.0, 0.8)
    assert len(chosen.say("dog").wave) == 300 * len(ids)


def test_speakers_are_chosen_by_name_or_number(voice_file: Any) -> None:
    voice = load_voice(voice=f"piper:{voice_file(n_speakers=3)}")
    assert voice.speakers == ("anna", "bert", "2")
    ids = voice.spell("dog")[0]
    for speaker, number in (("anna", 0), ("bert", 1), (2, 2), (None, 0)):
        wave = voice.adjusted(speaker=speaker).say("dog").wave
        heights = np.repeat(ids, 100) + 1000 * number
        np.testing.assert_allclose(wave, heights / heights.max(), atol=1e-6)
    with pytest.raises(ConfigurationError, match="3 speakers"):
        voice.adjusted(speaker="carla")


def test_each_sentence_comes_when_it_is_spoken(voice_file: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    voice = load_voice(voice=f"piper:{voice_file()}")
    spoken = []
    speak = voice.synthesizer.wave
    monkeypatch.setattr(voice.synthesizer, "wave", lambda ids, speed: spoken.append(ids) or speak(ids, speed))
    chunks = voice.stream_text("A dog is here. It runs.".lower())
    first = next(chunks)
    assert len(spoken) == 1
    assert len(first) == 100 * len(ids_of("a dog is here."))
    rest = np.concatenate(list(chunks))
    assert len(rest) == round(0.2 * 16000) + 100 * len(ids_of("it runs."))


def test_phonemes_come_from_espeak_with_the_marks_between(voice_file: Any) -> None:
    pytest.importorskip("espeakng_loader")
    espeak = EspeakVoice()
    assert phonemes_of("A dog, a cat.", espeak) == "ɐ dˈɑːɡ, ɐ kˈæt."
    assert phonemes_of("Is it at 3:30, Dr. Smith?", espeak).count(":") == 0
    assert phonemes_of('"Run!" she said', espeak).startswith("ɹˈʌn! ʃiː")
    assert phonemes_of("a b...", espeak).endswith(".")
    voice = PiperVoice(voice_file(phoneme_type="espeak"))
    assert voice.spell("A dog.").tolist() == ids_of("ɐ dˈɑːɡ.")
    assert voice.spell("dˈɑːɡ", phonemes=True).tolist() == ids_of("dˈɑːɡ")


def test_what_it_does_not_know_is_left_out_and_all_of_it_refused(voice_file: Any) -> None:
    voice = PiperVoice(voice_file())
    assert voice.spell("d犬og").tolist() == ids_of("dog")
    with pytest.raises(TextError, match="knows no sound"):
        voice.spell("犬")


def _broken(path: Path, kind: str) -> str:
    """Break the voice at `path`; what the message says of it."""
    beside = path.with_name(path.name + ".json")
    if kind == "no json":
        beside.unlink()
        return r"voice.onnx.json: missing; .*two files"
    if kind == "no onnx":
        path.unlink()
        return "no such file"
    if kind == "half an onnx":
        path.write_bytes(path.read_bytes()[:50])
        return "cannot load this voice"
    if kind == "half a json":
        beside.write_text(beside.read_text()[:50])
        return "no valid JSON"
    if kind == "a list":
        beside.write_text("[]")
        return "another type"
    return ""


@pytest.mark.parametrize("kind", ["no json", "no onnx", "half an onnx", "half a json", "a list"])
def test_broken_voices_are_refused_in_a_line(voice_file: Any, kind: str) -> None:
    path = voice_file()
    expected = _broken(path, kind)
    with pytest.raises(ConfigurationError, match=expected) as raised:
        PiperVoice(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"phoneme_id_map": None}, "lacks 'phoneme_id_map'"),
        ({"phoneme_id_map": {"a": [1]}}, r"lacks '\^'"),
        ({"phoneme_id_map": {**IDS, "a": ["x"]}}, "another type"),
        ({"audio": {"sample_rate": 3}}, "3 Hz"),
        ({"phoneme_type": "pinyin"}, "'pinyin' are not known"),
        ({"num_speakers": 0}, "another type"),
        ({"num_speakers": 2}, "lacks an input 'sid'"),
        ({"inference": {"length_scale": math.inf}}, "length_scale is inf"),
    ],
)
def test_wrong_descriptions_are_refused(voice_file: Any, changes: dict[str, Any], expected: str) -> None:
    path = voice_file(**{name: value for name, value in changes.items() if name != "num_speakers"})
    if "num_speakers" in changes:
        beside = path.with_name(path.name + ".json")
        beside.write_text(json.dumps(json.loads(beside.read_text()) | changes))
    with pytest.raises(ConfigurationError, match=expected):
        PiperVoice(path)


def test_graphs_of_something_else_are_refused(voice_file: Any) -> None:
    other = GRAPH.replace("S] input,", "S] ids_in,").replace("(input)", "(ids_in)")
    with pytest.raises(ConfigurationError, match="lacks an input 'input'"):
        PiperVoice(voice_file(graph=other))
    of_two = voice_file(n_speakers=2)
    beside = of_two.with_name(of_two.name + ".json")
    beside.write_text(json.dumps(json.loads(beside.read_text()) | {"num_speakers": 1}))
    with pytest.raises(ConfigurationError, match="has an input 'sid'"):
        PiperVoice(of_two)
    column = "Unsqueeze(raised, axis_two)"
    logarithms = GRAPH.replace(column, "Unsqueeze(logs, axis_two)").replace(
        "  column =", "  logs = Log(raised)\n  column ="
    )
    silent = PiperVoice(voice_file("silent.onnx", graph=logarithms))
    with pytest.raises(ConfigurationError, match="gave no sound"):
        silent.wave(silent.spell("dog"))


def test_settings_that_are_none_are_refused(voice_file: Any) -> None:
    path = voice_file()
    for setting, expected in (
        ("x=1", "unknown setting 'x'"),
        ("noise_w", "expected a number"),
        ("noise_w=-1", "0 to 20"),
    ):
        with pytest.raises(ConfigurationError, match=expected):
            load_voice(voice=f"piper:{path},{setting}")
    with pytest.raises(ConfigurationError, match=r"named by its \.onnx"):
        load_voice(voice=f"piper:{path}.json")
