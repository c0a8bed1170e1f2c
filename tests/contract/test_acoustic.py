"""The same promises of every acoustic model. A new member joins by one line in MEMBERS."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor

from optophone.models.acoustic.tacotron2 import AcousticOutput, Tacotron2, Tacotron2Config
from optophone.training.acoustic_loss import AcousticLoss, AcousticLossConfig

V, M = 13, 6
TINY = Tacotron2Config(
    n_symbols=V,
    n_mels=M,
    embedding_dim=10,
    encoder_dim=12,
    encoder_convolutions=2,
    attention_dim=8,
    location_filters=3,
    location_kernel_size=5,
    attention_rnn_dim=14,
    decoder_rnn_dim=16,
    prenet_dims=(9, 7),
    prenet_dropout_at_inference=False,
    postnet_dim=11,
    postnet_convolutions=3,
    mask_convolutions=True,
)
MEMBERS = {
    "tacotron2": TINY,
    "tacotron2, 2 frames a step": replace(TINY, reduction_factor=2),
    "tacotron2, 3 frames a step": replace(TINY, reduction_factor=3),
    "tacotron2, 3 voices": replace(TINY, n_speakers=3, speaker_dim=4, reduction_factor=2),
    "tacotron2, bare": replace(TINY, encoder_convolutions=0, postnet_convolutions=0, prenet_dims=(8,)),
}
ID_LENGTHS, MEL_LENGTHS = torch.tensor([5, 8, 3]), torch.tensor([10, 7, 13])


@pytest.fixture(params=MEMBERS)
def model(request: pytest.FixtureRequest) -> Tacotron2:
    torch.manual_seed(1)
    model = Tacotron2(MEMBERS[request.param]).eval()
    for parameter in model.parameters():  # fresh weights attend almost evenly, which would hide mistakes
        parameter.data.mul_(1.5)
    return model


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(0, V, (3, 8), generator=torch.Generator().manual_seed(2))


@pytest.fixture
def mel() -> Tensor:
    return torch.randn(3, M, 13, generator=torch.Generator().manual_seed(3))


def voices(model: Tacotron2) -> Tensor | None:
    return torch.tensor([2, 0, 1]) if model.config.n_speakers else None


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=3e-5, rtol=1e-4)


@torch.no_grad()
def test_padded_batch_equals_single_items(model: Tacotron2, ids: Tensor, mel: Tensor) -> None:
    batch = model(ids, ID_LENGTHS, mel, MEL_LENGTHS, voices(model))
    for i, (n_symbols, n_frames) in enumerate(zip(ID_LENGTHS.tolist(), MEL_LENGTHS.tolist(), strict=True)):
        voice = voices(model)
        single = model(
            ids[i : i + 1, :n_symbols],
            ID_LENGTHS[i : i + 1],
            mel[i : i + 1, :, :n_frames],
            MEL_LENGTHS[i : i + 1],
            None if voice is None else voice[i : i + 1],
        )
        n_steps = int(batch.step_lengths[i])
        assert n_steps == single.alignment.shape[1] == -(-n_frames // model.config.reduction_factor)
        assert_near(batch.mel_before[i, :, :n_frames], single.mel_before[0])
        assert_near(batch.mel_after[i, :, :n_frames], single.mel_after[0])
        assert_near(batch.stop_logits[i, :n_frames], single.stop_logits[0])
        assert_near(batch.alignment[i, :n_steps, :n_symbols], single.alignment[0])
        assert batch.mel_after[i, :, n_frames:].abs().sum() == 0
        assert (batch.stop_logits[i, n_frames:] == 1000).all()
        assert batch.alignment[i, :, n_symbols:].abs().sum() == 0


@torch.no_grad()
def test_stepwise_equals_teacher_forced(model: Tacotron2, ids: Tensor, mel: Tensor) -> None:
    full = model(ids, ID_LENGTHS, mel, torch.full((3,), 13), voices(model))
    memory, state = model.begin(ids, ID_LENGTHS, voices(model))
    r, frame = model.config.reduction_factor, mel.new_zeros(3, M)
    frames, stop_logits = [], []
    for start in range(0, 13, r):
        step = model.step(frame, None, memory, state)
        state, frame = step.state, mel[:, :, min(start + r, 13) - 1]
        frames.append(step.frames)
        stop_logits.append(step.stop_logits)
        assert_near(step.alignment, full.alignment[:, start // r])
    before = torch.cat(frames, dim=2)[:, :, :13]
    assert_near(before, full.mel_before)
    assert_near(torch.cat(stop_logits, dim=1)[:, :13], full.stop_logits)
    assert_near(model.postnet(before), full.mel_after)


def test_speaks_a_batch_as_it_speaks_each_alone(model: Tacotron2, ids: Tensor) -> None:
    r = model.config.reduction_factor
    model.decoder.stop.bias.data.fill_(0.3)
    model.decoder.stop.weight.data.mul_(4)
    batch = model.infer(ids, ID_LENGTHS, voices(model), max_frames=14)
    for i, n_symbols in enumerate(ID_LENGTHS.tolist()):
        voice = voices(model)
        alone = model.infer(
            ids[i : i + 1, :n_symbols], speakers=None if voice is None else voice[i : i + 1], max_frames=14
        )
        n_frames = int(alone.mel_lengths[0])
        assert batch.mel_lengths[i] == n_frames <= 14
        assert batch.stopped[i] == alone.stopped[0]
        assert_near(batch.mel_after[i, :, :n_frames], alone.mel_after[0])
        assert_near(batch.alignment[i, : -(-n_frames // r), :n_symbols], alone.alignment[0])


def train(model: Tacotron2, ids: Tensor, mel: Tensor, steps: int) -> list[float]:
    """The mel loss of each of `steps` on one batch."""
    loss = AcousticLoss(AcousticLossConfig(count_padding=False))
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    losses = []
    model.train()
    for _ in range(steps):
        output = model(ids, ID_LENGTHS, mel, MEL_LENGTHS, voices(model))
        parts = loss(output, mel, MEL_LENGTHS, ID_LENGTHS)
        optimizer.zero_grad()
        parts.total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(float(parts.mel_before.detach() + parts.mel_after.detach() + parts.stop.detach()))
    return losses


@pytest.mark.parametrize("reduction_factor", [1, 2, 3])
def test_overfits_one_batch(ids: Tensor, mel: Tensor, reduction_factor: int) -> None:
    torch.manual_seed(4)
    sizes = replace(TINY, reduction_factor=reduction_factor, attention_rnn_dim=48, decoder_rnn_dim=48)
    sizes = replace(sizes, encoder_dropout=0.0, prenet_dropout=0.0, postnet_dropout=0.0, prenet_dims=(32, 32))
    losses = train(Tacotron2(replace(sizes, attention_dropout=0.0, decoder_dropout=0.0)), ids, mel, 120)
    assert min(losses[-20:]) < losses[0] / 10


def test_every_parameter_learns(model: Tacotron2, ids: Tensor, mel: Tensor) -> None:
    model.train()
    output: AcousticOutput = model(ids, ID_LENGTHS, mel, MEL_LENGTHS, voices(model))
    AcousticLoss(AcousticLossConfig(guide_weight=1.0))(output, mel, MEL_LENGTHS, ID_LENGTHS).total.backward()
    still = [name for name, parameter in model.named_parameters() if parameter.grad is None or not parameter.grad.any()]
    assert still == []


@torch.no_grad()
def test_saves_and_loads_equal(model: Tacotron2, ids: Tensor, mel: Tensor, tmp_path: Path) -> None:
    save_model(model, str(tmp_path / "model.safetensors"))
    other = Tacotron2(model.config).eval()
    load_model(other, tmp_path / "model.safetensors", strict=True)
    inputs = (ids, ID_LENGTHS, mel, MEL_LENGTHS, voices(model))
    for one, two in zip(model(*inputs), other(*inputs), strict=True):
        assert torch.equal(one, two)
