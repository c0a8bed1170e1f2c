"""The voice loop over ONNX graphs: it ends, it is the same twice, and its stream is its whole."""

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from optophone.core.bundle import open_bundle
from optophone.core.errors import BundleError, ConfigurationError, TextError
from optophone.runtime.onnx_acoustic import CutOffWarning, MisreadWarning, OnnxAcoustic, OnnxAcousticConfig
from tiny_bundles import REDUCTION, STEPS_PER_SYMBOL, write_voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> OnnxAcoustic:
    return OnnxAcoustic(open_bundle(write_voice(tmp_path_factory.mktemp("bundles") / "voice")))


def ids_of(voice: OnnxAcoustic, text: str) -> np.ndarray:
    return np.array(voice.vocabulary.encode(text))


def test_it_speaks_until_the_gate_opens(voice: OnnxAcoustic) -> None:
    ids = ids_of(voice, "a dog runs")
    spoken = voice.mel(ids)
    n_steps = STEPS_PER_SYMBOL * len(ids)
    assert spoken.stopped
    assert spoken.alignment is not None
    assert spoken.alignment.shape == (n_steps, len(ids))
    assert spoken.alignment.argmax(axis=1).tolist() == sorted(spoken.alignment.argmax(axis=1).tolist())
    # The gate opens on the first frame of the last step, and that frame is spoken.
    assert spoken.mel.shape == (voice.mel_spec.n_mels, (n_steps - 1) * REDUCTION + 1)
    assert spoken.mel.dtype == np.float32


@pytest.mark.parametrize("text", ["a", "a dog", "a dog runs on the grass", "a dog runs on the grass " * 4])
def test_the_stream_is_the_whole(voice: OnnxAcoustic, text: str) -> None:
    ids = ids_of(voice, text)
    chunks = list(voice.stream(ids))
    np.testing.assert_allclose(np.concatenate(chunks, axis=1), voice.mel(ids).mel, atol=1e-5)
    if len(chunks) > 1:
        assert chunks[0].shape[1] <= voice.config.first_chunk_frames + 2 * REDUCTION


def test_the_first_chunk_comes_before_the_decoder_is_done(voice: OnnxAcoustic, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(voice, "a dog runs on the grass " * 6)
    steps = []
    run = voice.step_graph.run
    monkeypatch.setattr(voice.step_graph, "run", lambda feeds: steps.append(1) or run(feeds))
    stream = voice.stream(ids)
    next(stream)
    assert len(steps) < STEPS_PER_SYMBOL * len(ids) / 4


def test_the_same_text_sounds_the_same(voice: OnnxAcoustic) -> None:
    ids = ids_of(voice, "the grass")
    np.testing.assert_array_equal(voice.mel(ids).mel, voice.mel(ids).mel)


def test_dropout_follows_the_seed_and_can_be_off(tmp_path: Path) -> None:
    def mel(name: str, **options: object) -> np.ndarray:
        model = OnnxAcoustic(open_bundle(write_voice(tmp_path / name, **options)))
        return model.mel(ids_of(model, "grass")).mel

    first, second = mel("first", seed=1), mel("second", seed=2)
    assert first.shape == second.shape
    assert np.abs(first - second).max() > 1e-3
    np.testing.assert_array_equal(
        mel("off-1", seed=1, prenet_dropout=False), mel("off-2", seed=2, prenet_dropout=False)
    )


def test_a_voice_that_finds_no_end_is_cut_off_with_a_warning(tmp_path: Path) -> None:
    options = {"max_frames_per_symbol": 10, "min_max_frames": 4}
    endless = OnnxAcoustic(open_bundle(write_voice(tmp_path / "endless", stops=False, **options)))
    ids = ids_of(endless, "a dog")
    with pytest.warns(CutOffWarning, match="cut off after"):
        spoken = endless.mel(ids)
    assert not spoken.stopped
    assert spoken.mel.shape[1] == 10 * len(ids)


def test_the_cap_follows_the_input() -> None:
    config = OnnxAcousticConfig(2, 8, 4, max_frames_per_symbol=10.5, min_max_frames=50, max_frames=300)
    assert [config.cap(n_symbols) for n_symbols in (1, 10, 1000)] == [50, 105, 300]
    assert OnnxAcousticConfig(2, 8, 4, max_frames_per_symbol=0, max_frames=300).cap(1) == 300


def test_no_warning_when_it_ends(voice: OnnxAcoustic) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        voice.mel(ids_of(voice, "a dog"))


def test_nothing_to_say(voice: OnnxAcoustic) -> None:
    with pytest.raises(TextError):
        voice.mel(np.zeros(0, dtype=np.int64))


def test_a_missing_option_is_named(tmp_path: Path) -> None:
    folder = write_voice(tmp_path / "voice", stop_threshold="half")
    with pytest.raises(ConfigurationError, match="stop_threshold"):
        OnnxAcoustic(open_bundle(folder))


def test_the_text_being_over_ends_what_the_gate_does_not(tmp_path: Path) -> None:
    endless = OnnxAcoustic(open_bundle(write_voice(tmp_path / "e", stops=False, max_frames_per_symbol=0, tries=1)))
    ids = ids_of(endless, "a dog")
    with pytest.warns(CutOffWarning):
        spoken = endless.mel(ids)
    said = STEPS_PER_SYMBOL * len(ids) * REDUCTION
    tail = endless.config.max_tail_s * endless.mel_spec.sample_rate / endless.mel_spec.hop_length
    assert said < spoken.mel.shape[1] < said + 1.1 * tail
    assert spoken.problems == ("did not find its end",)


def test_a_faulty_text_is_spoken_again_with_another_seed(voice: OnnxAcoustic, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = ids_of(voice, "a dog runs on the grass")
    sound = voice.mel(ids)
    assert sound.n_tries == 1
    run, alignment = voice.step_graph.run, voice.output_index["alignment"]
    steps: list[int] = []

    def stumbling(feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
        values = run(feeds)
        steps.append(1)
        if len(steps) < n_faulty:
            values[alignment] = np.full_like(values[alignment], 1 / len(ids))
        return values

    monkeypatch.setattr(voice.step_graph, "run", stumbling)
    n_faulty = STEPS_PER_SYMBOL * len(ids)
    again = voice.mel(ids)
    assert (again.n_tries, again.problems) == (2, ())
    assert np.abs(again.mel - sound.mel).max() > 1e-3
    steps.clear()
    np.testing.assert_array_equal(voice.mel(ids).mel, again.mel)
    steps.clear()
    n_faulty = 10**9
    with pytest.warns(MisreadWarning, match="lost its place"):
        assert voice.mel(ids).problems == ("lost its place in the text",)
    with pytest.warns(MisreadWarning):
        list(voice.stream(ids))


@pytest.mark.parametrize(("speakers", "named"), [(["Ann", "Bob"], None), (["Ann"], ["Ann", "Bob"])])
def test_names_and_graph_have_to_agree(tmp_path: Path, speakers: list[str], named: list[str] | None) -> None:
    folder = write_voice(tmp_path / "voice", speakers=speakers)
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["configuration"] = {**manifest["configuration"], "speakers": named}
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"encoder\.onnx: the graph takes (a speaker|none) but the bundle names"):
        OnnxAcoustic(open_bundle(folder))


def test_of_several_the_first_speaks_until_another_is_chosen(tmp_path: Path) -> None:
    voices = OnnxAcoustic(open_bundle(write_voice(tmp_path / "voice", speakers=["Ann", "Bob"])))
    ids = ids_of(voices, "a dog")
    bob = voices.with_speaker("Bob")
    assert np.abs(bob.mel(ids).mel - voices.mel(ids).mel).max() > 0.1
    np.testing.assert_array_equal(bob.with_speaker(0).mel(ids).mel, voices.mel(ids).mel)
    with pytest.raises(ConfigurationError, match=r"speaker Eve: this voice has 2 speakers: 'Ann' \(0\), 'Bob' \(1\)\."):
        voices.with_speaker("Eve")
