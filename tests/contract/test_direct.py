"""The same promises of every direct model. A new member joins by an entry in OPTIONS of tiny_direct and in MEMBERS."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from optophone.core.configuration import from_mapping
from optophone.data.speech import collate
from optophone.models.direct import TrueSpeech
from optophone.models.direct.build import FAMILY
from optophone.training.aligned_speech import AlignedBatch, align
from optophone.training.direct_batch import DirectBatch
from optophone.training.frame_objective import FrameLossConfig, FrameObjective
from optophone.training.joint_objective import JointLossConfig
from optophone.training.show_and_speak_objective import ShowAndSpeakLossConfig, ShowAndSpeakObjective
from tiny_direct import ENDS, OPTIONS, REGION_DIM, joint_objective

R, C = 6, 2
LENGTHS = ((3, 2, 4, 1), (2, 3), (4, 4, 1), (1, 2, 2, 2))  # frames of the units of four utterances


class Ways(NamedTuple):
    """How a member is asked: what it says, teacher-forced, of an utterance, trimmed to what is valid; its objective."""

    said: Callable[[Any, int, int, int], dict[str, Tensor]]
    objective: Callable[[], Any]


def joint_said(output: Any, row: int, n_units: int, n_frames: int) -> dict[str, Tensor]:
    return {
        "logits": output.caption.logits[row, : n_units + 1],
        "attention": output.caption.attention[row, : n_units + 1],
        "mel": output.voice.mel[row, :, :n_frames],
        "durations": output.voice.log_durations[row, :n_units],
    }


def frames_said(output: Any, row: int, n_units: int, n_frames: int) -> dict[str, Tensor]:
    n_steps = -(-n_frames // 3)
    return {
        "first": output.first[row, : n_steps + 1],
        "further": output.further[row, :n_steps],
        "codes": output.codes[row, :n_steps].float(),
        "targets": output.targets[row, : n_steps + 1].float(),
    }


def attended_said(output: Any, row: int, n_units: int, n_frames: int) -> dict[str, Tensor]:
    acoustic = output.acoustic
    return {
        "mel": acoustic.mel_after[row, :, :n_frames],
        "stop": acoustic.stop_logits[row, :n_frames],
        "alignment": acoustic.alignment[row, : -(-n_frames // 2)],
    }


MEMBERS = {
    "joint": Ways(joint_said, lambda: joint_objective(JointLossConfig(compare_every=1000, label_smoothing=0.0))),
    "show-and-speak": Ways(attended_said, lambda: ShowAndSpeakObjective(ShowAndSpeakLossConfig(), None)),
    "transformer": Ways(frames_said, lambda: FrameObjective(FrameLossConfig())),
}


def test_the_whole_family_is_here() -> None:
    assert set(MEMBERS) == set(FAMILY) == set(OPTIONS)


@pytest.fixture(params=MEMBERS)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


def build(name: str, seed: int = 3, **options: Any) -> Any:
    torch.manual_seed(seed)
    member = FAMILY[name]
    speaker: Any = member.speaker(from_mapping(member.config, {**OPTIONS[name], **options}), ENDS)
    if name == "transformer":
        speaker.codes.set_centres(np.random.default_rng(0).normal(-5, 2, speaker.codes.centres.shape))
    if name == "show-and-speak":
        # Its dropout stays on; none of it makes results comparable.
        speaker.decoder.prenet.dropout = 0.0
    return speaker.eval()


@pytest.fixture
def speaker(name: str) -> Any:
    return build(name)


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(len(LENGTHS), R, REGION_DIM, generator=torch.Generator().manual_seed(5))


def aligned_of(rows: tuple[int, ...]) -> AlignedBatch:
    """Utterances with numbers `rows`: units count up, mels are noise of their own."""
    ids, mels, durations = [], [], []
    for row in rows:
        lengths = np.array(LENGTHS[row])
        ids.append(torch.arange(len(lengths)) + 3 + row)
        mels.append(torch.randn(ENDS.mel.n_mels, int(lengths.sum()), generator=torch.Generator().manual_seed(row)) - 5)
        durations.append(lengths)
    return align(collate(ids, mels), durations)


def speech_of(aligned: AlignedBatch) -> TrueSpeech:
    speech = aligned.speech
    return TrueSpeech(speech.mel, speech.mel_lengths, speech.ids, aligned.ids_mask, aligned.frames)


def said(name: str, speaker: Any, regions: Tensor, mask: Tensor | None, rows: tuple[int, ...], c: int = 1) -> list:
    output = speaker(regions, mask, speech_of(aligned_of(rows)), c)
    sizes = [(len(LENGTHS[row]), sum(LENGTHS[row])) for row in rows]
    return [MEMBERS[name].said(output, place, *size) for place, size in enumerate(sizes)]


def assert_near(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, atol=3e-6, rtol=1e-5, msg=lambda text, key=key: f"{key}: {text}")


def differs(found: dict[str, Tensor], expected: dict[str, Tensor]) -> bool:
    return any(not torch.allclose(found[key], value, atol=1e-4) for key, value in expected.items())


def test_a_padded_batch_equals_single_items(name: str, speaker: Any, regions: Tensor) -> None:
    together = said(name, speaker, regions, None, (0, 1, 2, 3))
    for row in range(4):
        (alone,) = said(name, speaker, regions[row : row + 1], None, (row,))
        assert_near(together[row], alone)


def test_masked_regions_are_ignored(name: str, speaker: Any, regions: Tensor) -> None:
    mask = torch.ones(4, R, dtype=torch.bool)
    mask[0, 4:] = mask[2, 1:] = False
    other = torch.where(mask[:, :, None], regions, torch.full_like(regions, 50.0))
    rows = (0, 1, 2, 3)
    expected = said(name, speaker, regions, mask, rows)
    for found, one in zip(said(name, speaker, other, mask, rows), expected, strict=True):
        assert_near(found, one)
    assert differs(said(name, speaker, regions, None, rows)[0], expected[0])


def test_the_picture_matters(name: str, speaker: Any, regions: Tensor) -> None:
    rows = (0, 1, 2, 3)
    assert differs(said(name, speaker, regions, None, rows)[0], said(name, speaker, regions.flip(0), None, rows)[0])


def test_several_utterances_a_picture_equal_repeated_regions(name: str, speaker: Any, regions: Tensor) -> None:
    mask = torch.arange(R) < torch.tensor([[R], [2]])
    together = said(name, speaker, regions[:2], mask, (0, 1, 2, 3), C)
    apart = said(name, speaker, regions[:2].repeat_interleave(C, 0), mask.repeat_interleave(C, 0), (0, 1, 2, 3))
    for found, expected in zip(together, apart, strict=True):
        assert_near(found, expected)


def test_the_future_is_not_read(name: str, speaker: Any, regions: Tensor) -> None:
    """What is scored or said at the beginning does not change with what comes later."""
    aligned = aligned_of((0, 2))
    speech = speech_of(aligned)
    assert speech.ids is not None
    late = speech.mel.clone()
    late[:, :, 6:] = -3.0  # a step of two, and one of three frames, end here
    ids = speech.ids.clone()
    ids[:, 2:] = 11
    changed = speech._replace(mel=late, ids=ids)
    first, second = (speaker(regions[:2], None, one) for one in (speech, changed))
    for row, (n_units, n_frames) in enumerate(((2, 6), (2, 6))):
        expected = MEMBERS[name].said(first, row, n_units, n_frames)
        found = MEMBERS[name].said(second, row, n_units, n_frames)
        causal = {"joint": ["logits"], "transformer": ["first"], "show-and-speak": ["alignment"]}[name]
        assert_near({key: found[key] for key in causal}, {key: expected[key] for key in causal})


def test_it_learns_one_batch_by_heart(name: str, regions: Tensor) -> None:
    speaker, objective = build(name).train(), MEMBERS[name].objective()
    aligned = aligned_of((0, 1, 2, 3))
    batch = DirectBatch(regions, speech_of(aligned), aligned)
    model = nn.Module()
    model.speaker = speaker
    optimizer = torch.optim.Adam(speaker.parameters(), 0.02)
    losses = []
    for step in range(60):
        torch.manual_seed(step)
        loss, terms = objective.training_loss(model, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
        assert all(bool(value.isfinite()) for value in terms.values())
    assert np.mean(losses[-5:]) < 0.45 * losses[0], losses[::10]
    unused = [key for key, parameter in speaker.named_parameters() if parameter.grad is None]
    assert unused == []


def test_saved_and_loaded_it_says_the_same(name: str, speaker: Any, regions: Tensor, tmp_path: Path) -> None:
    save_file({key: value.clone() for key, value in speaker.state_dict().items()}, tmp_path / "weights.safetensors")
    other = build(name, seed=8)
    rows = (0, 1, 2, 3)
    expected = said(name, speaker, regions, None, rows)
    assert differs(said(name, other, regions, None, rows)[0], expected[0])
    other.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    for found, one in zip(said(name, other, regions, None, rows), expected, strict=True):
        torch.testing.assert_close(found, one, atol=0, rtol=0)


def test_step_by_step_the_transformer_says_the_same(regions: Tensor) -> None:
    speaker = build("transformer")
    speech = speech_of(aligned_of((0, 2)))
    output = speaker(regions[:2], None, speech)
    memory, state = speaker.begin(regions[:2], None)
    codes = torch.full((2, 3), speaker.start)
    for u in range(3):
        step = speaker.step(codes, memory, state)
        torch.testing.assert_close(step.log_probs, output.first[:, u].log_softmax(-1), atol=2e-5, rtol=1e-5)
        codes, state = output.codes[:, u], step.state
        further = speaker.further_log_probs(step.hidden, codes[:, :-1])
        torch.testing.assert_close(further, output.further[:, u].log_softmax(-1), atol=2e-5, rtol=1e-5)


def test_step_by_step_the_attention_lstm_says_the_same(regions: Tensor) -> None:
    speaker = build("show-and-speak")
    speech = speech_of(aligned_of((0, 2)))
    output = speaker(regions[:2], None, speech).acoustic
    memory, state = speaker.begin(regions[:2], None)
    frame = torch.zeros(2, ENDS.mel.n_mels)
    for u in range(4):
        step = speaker.step(frame, None, memory, state)
        torch.testing.assert_close(step.frames, output.mel_before[:, :, 2 * u : 2 * u + 2], atol=2e-5, rtol=1e-5)
        torch.testing.assert_close(step.alignment, output.alignment[:, u], atol=2e-5, rtol=1e-5)
        frame, state = speech.mel[:, :, 2 * u + 1], step.state


def test_step_by_step_the_joint_model_says_the_same(regions: Tensor) -> None:
    speaker = build("joint")
    aligned = aligned_of((0, 2))
    output = speaker(regions[:2], None, speech_of(aligned))
    memory, state = speaker.captioner.begin(regions[:2], None)
    read = torch.cat((torch.ones(2, 1, dtype=torch.int64), aligned.speech.ids), 1)
    for s in range(3):
        log_probs, _, state = speaker.captioner.step(read[:, s], memory, state)
        torch.testing.assert_close(log_probs, output.caption.logits[:, s].log_softmax(-1), atol=2e-5, rtol=1e-5)
    chosen = output.units[0].argmax(1)
    encoded, _ = speaker.voice.encode(chosen[None], None)
    mel = speaker.voice.speak(speaker.voice.lay_out(encoded, align(*only(aligned, 0)).frames))[0]
    torch.testing.assert_close(output.voice.mel[0, :, : mel.shape[1]], mel, atol=2e-5, rtol=1e-5)


def only(aligned: AlignedBatch, row: int) -> tuple[Any, list[np.ndarray]]:
    """One utterance of a batch, and its durations."""
    speech, durations = aligned.speech, np.array(LENGTHS[row])
    n = int(speech.mel_lengths[row])
    return collate([speech.ids[row, : len(durations)]], [speech.mel[row, :, :n]]), [durations]
