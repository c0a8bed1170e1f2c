"""What is shipped against what was trained: exported graphs in ONNX Runtime against the torch models."""

from pathlib import Path

import numpy as np
import pytest
import torch

from optophone.core.bundle import open_bundle
from optophone.core.picture import prepare_picture
from optophone.core.search import search
from optophone.export.acoustic import compare as compare_voices
from optophone.export.acoustic import export_acoustic
from optophone.export.captioner import LARGEST_MEMORY_ERROR, compare, export_captioner
from optophone.runtime.onnx_acoustic import OnnxAcoustic
from optophone.runtime.onnx_captioner import OnnxCaptioner
from tiny_models import DECODERS, pictures, symbols, tiny_acoustic, tiny_captioner


@pytest.fixture(scope="module", params=DECODERS)
def exported(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, dict]:
    """A tiny captioner of each family, in both precisions."""
    folder = tmp_path_factory.mktemp("captioner")
    measured = export_captioner(tiny_captioner(request.param), folder, "int8", pictures(24, 0), pictures(6, 1))
    return request.param, folder, measured


@torch.no_grad()
def test_fp32_captions_and_scores_are_those_of_torch(exported: tuple[str, Path, dict]) -> None:
    name, folder, measured = exported
    trained = tiny_captioner(name)
    captioner = OnnxCaptioner(open_bundle(folder / "fp32"))
    config = trained.exported_search()
    assert config.forbidden == (0, 1, 3)
    assert captioner.search == config
    assert measured["difference_from_torch"] <= 1e-5

    def step(ids: np.ndarray, parts: tuple) -> tuple:
        log_probs, attention, state = trained.model.step(torch.from_numpy(ids), parts[:n_memory], parts[n_memory:])
        return log_probs.numpy(), attention.numpy(), (*parts[:n_memory], *state)

    shown = pictures(5, 2)
    prepared = np.stack([prepare_picture(picture, trained.picture) for picture in shown])
    memory, state = trained.model.begin(torch.from_numpy(prepared))
    n_memory = len(memory)
    expected = search(step, (*memory, *state), 1, 2, config, len(shown), n_memory)
    for picture, hypotheses in zip(shown, expected, strict=True):
        found = captioner.caption(picture)[0]
        assert found.ids == hypotheses[0].ids
        assert found.log_prob == pytest.approx(hypotheses[0].log_prob, abs=1e-4)
        assert found.attention is not None
        expected_attention = hypotheses[0].attention
        assert expected_attention is not None
        np.testing.assert_allclose(found.attention.reshape(expected_attention.shape), expected_attention, atol=1e-5)


def test_int8_stays_near_and_is_small(exported: tuple[str, Path, dict]) -> None:
    _, folder, measured = exported
    assert 0 < measured["memory_error"] <= LARGEST_MEMORY_ERROR
    assert 0 < measured["score_error"] < 0.05
    for name in ("encoder.onnx", "step.onnx"):
        sizes = [(folder / precision / name).stat().st_size for precision in ("fp32", "int8")]
        assert sizes[1] < 0.75 * sizes[0] + 20_000, name


def test_a_damaged_graph_is_noticed(exported: tuple[str, Path, dict]) -> None:
    """The comparison that guards the export tells another picture's memory from the right one."""
    _, folder, _ = exported
    captioner = OnnxCaptioner(open_bundle(folder / "fp32"))
    other = OnnxCaptioner(open_bundle(folder / "fp32"))
    begin = other.begin
    other.begin = lambda feeds: begin({"picture": feeds["picture"][..., ::-1].copy()})  # type: ignore[method-assign]
    assert compare(captioner, other, pictures(4, 1))["memory_error"] > LARGEST_MEMORY_ERROR


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """A tiny voice in both precisions."""
    trained = tiny_acoustic()
    folder = tmp_path_factory.mktemp("acoustic")
    with pytest.warns(UserWarning, match="cut off"):
        return folder, export_acoustic(trained, folder, "int8", symbols(trained))


@torch.no_grad()
@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_fp32_voice_is_that_of_torch(voice: tuple[Path, dict]) -> None:
    folder, measured = voice
    trained = tiny_acoustic()
    acoustic = OnnxAcoustic(open_bundle(folder / "fp32"))
    assert acoustic.config.postnet_context == 6
    assert acoustic.config.max_frames_per_symbol == 3.0
    assert measured["difference_from_torch"] <= 1e-5
    ids = symbols(trained)[1]
    spoken = acoustic.mel(ids)
    # The same dropout as the runtime draws it, so that both say the same.
    n_steps = -(-spoken.mel.shape[1] // 2)
    generator = np.random.default_rng(acoustic.config.seed)
    drawn = generator.integers(0, 2, (64 * (1 + n_steps // 64), 2, 1, 24), dtype=np.uint8).astype(np.float32) * 2
    masks = [torch.from_numpy(drawn[:, layer]) for layer in (0, 1)]
    expected = trained.model.infer(torch.from_numpy(ids)[None], prenet_masks=masks, max_frames=spoken.mel.shape[1])
    np.testing.assert_allclose(spoken.mel, expected.mel_after[0].numpy(), atol=2e-4)
    assert spoken.alignment is not None
    np.testing.assert_allclose(spoken.alignment, expected.alignment[0].numpy(), atol=2e-4)


@pytest.mark.filterwarnings("ignore:the voice did not find")
def test_int8_voice_stays_near(voice: tuple[Path, dict]) -> None:
    folder, measured = voice
    fp32, int8 = (OnnxAcoustic(open_bundle(folder / precision)) for precision in ("fp32", "int8"))
    assert 0 < measured["mel_difference"] < 0.05
    assert compare_voices(fp32, int8, symbols(tiny_acoustic()))["same_stops"] == 1.0
    assert (folder / "int8/step.onnx").stat().st_size < 0.75 * (folder / "fp32/step.onnx").stat().st_size
