"""Every direct model as a bundle: ONNX Runtime against torch, whole and as a stream."""

import io
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from optophone.core.bundle import BundleWriter, open_bundle
from optophone.core.errors import BundleError, ConfigurationError, TextError
from optophone.core.picture import prepare_picture
from optophone.core.protocols import Intention
from optophone.core.search import SearchConfig
from optophone.export.direct import GRAPHS, TrainedDirect, export_direct
from optophone.export.training_facts import ExportError
from optophone.models.direct import FrameTransformer, Joint, ShowAndSpeak
from optophone.models.direct.build import FAMILY
from optophone.runtime.load import load, load_describer, load_voice
from optophone.runtime.mean_picture import MEAN_PICTURE
from optophone.runtime.onnx_direct import CLASSES, load_direct
from optophone.runtime.onnx_frame_transformer import OnnxFrameTransformer
from optophone.runtime.onnx_joint import OnnxJoint
from optophone.runtime.onnx_show_and_speak import OnnxShowAndSpeak
from optophone.runtime.prenet_masks import prenet_masks
from tiny_direct import tiny_direct
from tiny_models import pictures

Made = dict[str, tuple[TrainedDirect, Any]]
UTTERANCES = [np.array([3, 4, 5, 3, 8]), np.array([7, 9, 11])]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("direct")


@pytest.fixture(scope="module")
def made(folder: Path) -> Made:
    """Every member, and its bundle as the runtime reads it."""
    found = {}
    for member in FAMILY:
        trained = tiny_direct(member)
        measured = export_direct(trained, folder / member, "fp32", pictures(2, 0), pictures(3, 1), UTTERANCES)
        assert measured["difference_from_torch"] <= 1e-4
        found[member] = trained, load_direct(open_bundle(folder / member / "fp32"), 1)
    return found


def regions_of(trained: TrainedDirect, picture: np.ndarray) -> Tensor:
    with torch.no_grad():
        return trained.model.encoder(torch.from_numpy(prepare_picture(picture, trained.picture)[None]))


def test_the_runtime_knows_every_member() -> None:
    assert set(CLASSES) == set(FAMILY)
    assert set(GRAPHS) | {"joint"} == set(FAMILY)


@pytest.mark.filterwarnings("ignore:the model did not find its end")
def test_the_likeliest_codes_are_those_of_torch(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, runtime = made["transformer"]
    speaker = trained.model.speaker
    assert isinstance(speaker, FrameTransformer)
    assert isinstance(runtime, OnnxFrameTransformer)
    bias, end = speaker.trunk.output.bias, speaker.end
    monkeypatch.setattr(runtime, "draw", lambda codes: codes)
    search = SearchConfig(method="greedy", min_length=12, max_length=20)
    for picture in pictures(2, 2):
        with torch.no_grad():
            before = float(bias[end])
            bias[end] = -1e4  # in the runtime the end is held back as long
            codes = speaker.infer(regions_of(trained, picture))[0]
            bias[end] = before
        spoken = runtime.mel(runtime.intend(picture, search)[0])
        np.testing.assert_array_equal(spoken.mel[:, :12], codes[:12].T)
        assert 12 <= spoken.mel.shape[1] <= 20
        assert spoken.stopped == (spoken.mel.shape[1] < 20)


def test_codes_are_drawn_by_their_probabilities(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, runtime = made["transformer"]
    speaker = trained.model.speaker
    assert isinstance(speaker, FrameTransformer)
    picture = pictures(1, 2)[0]
    memory, state = speaker.begin(regions_of(trained, picture), None)
    expected = speaker.step(torch.full((1, 3), speaker.start), memory, state).log_probs[0].exp().detach().numpy()
    expected[speaker.end] = 0  # something is said
    search = SearchConfig(method="sample", max_length=1, n_results=600, seed=3)
    monkeypatch.setattr(runtime, "draw", lambda codes: codes)
    with pytest.warns(UserWarning, match="did not find its end"):
        first = [int(runtime.mel(intention).mel[0, 0]) for intention in runtime.intend(picture, search)]
    counts = np.bincount(first, minlength=len(expected)) / 600
    np.testing.assert_allclose(counts, expected / expected.sum(), atol=0.07)
    narrow = SearchConfig(method="sample", max_length=1, n_results=50, top_k=1)
    with pytest.warns(UserWarning, match="did not find its end"):
        likeliest = {int(runtime.mel(intention).mel[0, 0]) for intention in runtime.intend(picture, narrow)}
    assert likeliest == {int(expected.argmax())}


def guided_by_torch(trained: TrainedDirect, picture: np.ndarray, others: list[np.ndarray], n_steps: int) -> np.ndarray:
    """Codes (L, n_steps): the likeliest under guidance of 1, with two rows of the torch model's own memory."""
    speaker = trained.model.speaker
    assert isinstance(speaker, FrameTransformer)
    memories = [speaker.begin(regions_of(trained, one), None) for one in [picture, *others]]
    memory = [
        torch.cat([memories[0][0][i], torch.stack([one[0][i] for one in memories[1:]]).mean(0)])
        for i in range(len(memories[0][0]))
    ]
    state = tuple(part.repeat_interleave(2, 0) for part in memories[0][1])
    codes, said = torch.full((2, speaker.config.n_levels), speaker.start), []

    def choose(scores: Tensor) -> int:
        own, without = scores.double()
        plausible = own.exp() >= 0.1 * own.exp().max()
        return int(torch.where(plausible, 2 * own - without, -torch.inf).argmax())

    for _ in range(n_steps):
        step = speaker.step(codes, tuple(memory), state)
        step.log_probs[:, speaker.end] = -torch.inf
        state, codes = step.state, torch.zeros_like(codes)
        codes[:, 0] = choose(step.log_probs)
        for level in range(1, speaker.config.n_levels):
            codes[:, level] = choose(speaker.further_log_probs(step.hidden, codes[:, :-1])[:, level - 1])
        said.append(codes[0].numpy().copy())
    return np.stack(said, 1)


@torch.no_grad()
def test_guided_codes_are_those_of_torch(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """Away from the mean of the memories of the training pictures that the export was given."""
    trained, runtime = made["transformer"]
    monkeypatch.setattr(runtime, "draw", lambda codes: codes)
    plain = SearchConfig(method="greedy", min_length=11, max_length=12)
    differ = 0
    for picture in pictures(4, 2):
        with warnings.catch_warnings(action="ignore"):
            said = runtime.mel(runtime.intend(picture, replace(plain, guidance=1.0))[0]).mel[:, :11]
            unguided = runtime.mel(runtime.intend(picture, plain)[0]).mel[:, :11]
        np.testing.assert_array_equal(said, guided_by_torch(trained, picture, pictures(2, 0), 11))
        differ += not np.array_equal(said, unguided)
    assert differ, "guidance changes nothing"


def without_mean_picture(folder: Path, where: Path, content: bytes | None = None) -> Path:
    """The transformer's bundle with another mean picture or none."""
    bundle = open_bundle(folder / "transformer/fp32")
    manifest = bundle.manifest
    with BundleWriter(
        where, kind="direct", cls="transformer", name="t", configuration=manifest.configuration, mel=manifest.mel,
        picture=manifest.picture,
    ) as writer:  # fmt: skip
        for name in manifest.files:
            if name.endswith(".onnx"):
                writer.path(name).write_bytes(bundle.file(name).read_bytes())
        if content is not None:
            writer.path(MEAN_PICTURE).write_bytes(content)
    return where


def test_without_a_mean_picture_there_is_no_guidance(made: Made, folder: Path, tmp_path: Path) -> None:
    runtime = load_direct(open_bundle(without_mean_picture(folder, tmp_path / "t")), 1)
    search = SearchConfig(method="sample", max_length=3)
    assert runtime.intend(pictures(1, 2)[0], search)
    with pytest.raises(ConfigurationError, match="t: has no mean picture to be guided by"):
        runtime.intend(pictures(1, 2)[0], replace(search, guidance=1.0))


def npz(**arrays: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no mean picture"),
        (b"PK\x03\x04 cut off", "no mean picture"),
        (npz(other=np.zeros(3, np.float32)), "no mean picture"),
        (npz(**{"memory.0": np.array([None]), "memory.1": np.zeros(1, np.float32)}), "no mean picture"),
        (npz(**{f"memory.{i}": np.full((1, 2), np.nan, np.float32) for i in range(2)}), "no numbers"),
    ],
)
def test_a_damaged_mean_picture_is_told(content: bytes, message: str, made: Made, folder: Path, tmp_path: Path) -> None:
    bundle = open_bundle(without_mean_picture(folder, tmp_path / "t", content))
    with pytest.raises(BundleError, match=message):
        load_direct(bundle, 1)


def test_a_mean_picture_of_another_encoder_is_told(made: Made, folder: Path, tmp_path: Path) -> None:
    content = npz(**{f"memory.{i}": np.zeros((1, 2), np.float32) for i in range(2)})
    runtime = load_direct(open_bundle(without_mean_picture(folder, tmp_path / "t", content)), 1)
    with pytest.raises(BundleError, match="of another encoder"):
        runtime.intend(pictures(1, 2)[0], SearchConfig(guidance=1.0))


@pytest.mark.filterwarnings("ignore:the model did not find its end")
@pytest.mark.parametrize("member", FAMILY)
def test_the_stream_is_the_whole(member: str, made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    trained, runtime = made[member]
    if member == "show-and-speak":
        monkeypatch.setattr(runtime, "config", replace(runtime.config, first_chunk=4, chunk=6))
    long = SearchConfig(method="sample", max_length=30, min_length=25, temperature=1.5, seed=2)
    if member == "transformer":
        long = replace(long, guidance=0.5)
    for picture in pictures(2, 3):
        (intention,) = runtime.intend(picture, long)
        whole, chunks = runtime.mel(intention), list(runtime.stream(intention))
        assert len(chunks) > 1
        np.testing.assert_allclose(np.concatenate(chunks, axis=1), whole.mel, atol=1e-5)
        assert whole.mel.shape[0] == trained.mel.n_mels


@pytest.mark.filterwarnings("ignore:the model did not find its end")
def test_sound_starts_before_the_sentence_is_finished(made: Made) -> None:
    """The first chunk comes after `first_chunk` and `context` places and no more."""
    trained, runtime = made["transformer"]
    assert runtime.config.context == trained.model.speaker.refiner.context == 2  # type: ignore[union-attr]
    (intention,) = runtime.intend(pictures(1, 3)[0], SearchConfig(method="sample", max_length=30, min_length=25))
    step, n_steps = runtime.steps.step, []
    runtime.steps.step = lambda *arguments: (n_steps.append(1), step(*arguments))[1]
    first = next(runtime.stream(intention))
    runtime.steps.step = step
    assert first.shape[1] == 3 * runtime.config.first_chunk
    assert len(n_steps) == runtime.config.first_chunk + runtime.config.context


def test_the_attention_lstm_says_what_torch_says(made: Made) -> None:
    """With the runtime's own dropout masks."""
    trained, runtime = made["show-and-speak"]
    speaker = trained.model.speaker
    assert isinstance(speaker, ShowAndSpeak)
    assert isinstance(runtime, OnnxShowAndSpeak)
    picture = pictures(1, 4)[0]
    drawn = [next_pair for _, next_pair in zip(range(60), prenet_masks(6, 5), strict=False)]
    masks = [torch.from_numpy(np.stack([pair[i] for pair in drawn])) for i in range(2)]
    (said,) = speaker.infer(regions_of(trained, picture), None, masks)
    spoken = runtime.mel(runtime.intend(picture, SearchConfig(seed=5))[0])
    assert spoken.stopped == said.stopped
    np.testing.assert_allclose(spoken.mel, said.mel, atol=1e-4)
    assert spoken.alignment is not None
    np.testing.assert_allclose(spoken.alignment, said.alignment, atol=1e-4)


def test_the_joint_model_says_its_units(made: Made, folder: Path) -> None:
    trained, runtime = made["joint"]
    speaker = trained.model.speaker
    assert isinstance(speaker, Joint)
    assert isinstance(runtime, OnnxJoint)
    picture = pictures(1, 5)[0]
    search = replace(runtime.search, beam_size=4, max_length=8, min_length=3)
    best, second = runtime.intend(picture, replace(search, n_results=2))
    assert best.caption is not None
    mel, _ = speaker.say(torch.tensor(best.caption.ids))
    np.testing.assert_allclose(runtime.mel(best).mel, mel, atol=1e-4)
    assert best.caption.ids != (second.caption.ids if second.caption else ())
    units = runtime.vocabulary.decode(best.caption.ids)  # type: ignore[union-attr]
    describer, voice = load_describer(folder / "joint/fp32"), load_voice(folder / "joint/fp32")
    assert describer.caption(picture, search=search)[0].text == units
    direct = load(folder / "joint/fp32")(picture, search=search)
    np.testing.assert_allclose(voice.say(units).wave, direct.wave, atol=1e-4)
    with pytest.raises(TextError, match="nothing to say"):
        runtime.mel(Intention(()))


def test_eight_bits_where_the_halves_have_them(made: Made, tmp_path: Path) -> None:
    trained, runtime = made["joint"]
    measured = export_direct(trained, tmp_path, "int8", pictures(8, 0), pictures(3, 1), UTTERANCES)
    assert measured["precision"] == "int8"
    assert {"score_error", "mel_difference", "difference_from_torch"} <= measured.keys()
    small = load_direct(open_bundle(tmp_path / "int8"), 1)
    assert small.mel(pictures(1, 5)[0]).mel.shape[0] == runtime.mel_spec.n_mels
    with pytest.raises(ExportError, match="fp32 alone"):
        export_direct(made["transformer"][0], tmp_path / "no", "int8", [], pictures(1, 1), [])


@pytest.mark.parametrize("member", FAMILY)
def test_a_graph_that_differs_is_not_written(member: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the runtime makes is compared with what the model makes, not the graphs with themselves."""
    trained = tiny_direct(member)
    speaker: Any = trained.model.speaker
    place: Callable[..., Any]
    if member == "joint":
        place, owner, name = speaker.voice.speak, speaker.voice, "speak"
    else:
        name = {"transformer": "speak", "show-and-speak": "refine"}[member]
        place, owner = getattr(speaker, name), speaker
    calls = []

    def other(*arguments: Any) -> Any:
        calls.append(1)
        return place(*arguments) + (0.0 if torch.jit.is_tracing() else 0.5)

    monkeypatch.setattr(owner, name, other)
    with pytest.raises(ExportError, match="differ"):
        export_direct(trained, tmp_path, "fp32", [], pictures(2, 1), UTTERANCES)
    assert calls


def test_an_unknown_class_is_named(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "other", kind="direct", cls="other", name="other"):
        pass
    with pytest.raises(BundleError, match="unknown direct model 'other'; this version knows: joint"):
        load_direct(open_bundle(tmp_path / "other"))
