"""The recogniser: padding, loudness, its loss against all alignments, and that it learns."""

import itertools
import math

import pytest
import torch
from torch import Tensor

from optophone.core.ctc_search import read_greedily
from optophone.core.errors import ConfigurationError
from optophone.models.recognizers.ctc import CtcRecognizer, CtcRecognizerConfig, Heard, ctc_loss, level

TINY = CtcRecognizerConfig(
    n_symbols=6, n_mels=8, dim=24, hidden_dim=32, n_layers=2, kernel_size=5, stride=3, first_kernel_size=5, dropout=0.0
)


def build(config: CtcRecognizerConfig = TINY) -> CtcRecognizer:
    torch.manual_seed(0)
    return CtcRecognizer(config)


@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@torch.no_grad()
def test_padding_is_not_heard(stride: int) -> None:
    config = CtcRecognizerConfig(**{**TINY.__dict__, "stride": stride})
    model = build(config).eval()
    lengths = [31, 20, 7, 1]
    mels = [torch.randn(1, 8, length) - 5 for length in lengths]
    padded = torch.full((len(mels), 8, 31), 50.0)  # nothing must come of what lies there
    for row, mel in enumerate(mels):
        padded[row, :, : mel.shape[2]] = mel
    together = model(padded, torch.tensor(lengths))
    for row, mel in enumerate(mels):
        alone = model(mel)
        assert (
            int(alone.lengths[0])
            == int(together.lengths[row])
            == alone.log_probs.shape[2]
            == -(-lengths[row] // stride)
        )
        heard = together.log_probs[row, :, : int(together.lengths[row])]
        torch.testing.assert_close(heard, alone.log_probs[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_probabilities_add_up() -> None:
    log_probs = build()(torch.randn(2, 8, 10)).log_probs
    torch.testing.assert_close(log_probs.exp().sum(1), torch.ones(2, 4))


def test_loudness_and_microphone_are_taken_away() -> None:
    mel = torch.randn(2, 8, 40).clamp(min=-3)
    changed = mel + torch.linspace(-2, 3, 8)[:, None] * torch.tensor([1.0, -1.0])[:, None, None]
    torch.testing.assert_close(level(changed, None, 400.0), level(mel, None, 400.0), atol=1e-4, rtol=1e-4)
    found = level(mel, torch.arange(40)[None] < torch.tensor([[40], [13]]), 70.0)
    assert not found[1, :, 13:].any()
    torch.testing.assert_close(found[1, :, :13].mean(1), torch.zeros(8), atol=1e-5, rtol=0)
    assert float(found[1, :, :13].square().mean()) == pytest.approx(1, abs=0.01)


def test_digital_silence_sounds_like_a_quiet_room() -> None:
    loud = torch.randn(1, 8, 20)
    silent, room = (torch.cat([torch.full((1, 8, 10), value), loud], 2) for value in (-11.5, -9.0))
    torch.testing.assert_close(level(silent, None, 40.0), level(room, None, 40.0))


def loss_of(log_probs: Tensor, text: tuple[int, ...]) -> float:
    """The definition: the sum over all alignments of the text, for each of its letters."""
    total = 0.0
    for path in itertools.product(range(log_probs.shape[0]), repeat=log_probs.shape[1]):
        if tuple(letter for letter, _ in itertools.groupby(path) if letter) == text:
            total += math.exp(sum(float(log_probs[letter, t]) for t, letter in enumerate(path)))
    return -math.log(total) / len(text)


def test_the_loss_sums_over_alignments() -> None:
    torch.manual_seed(1)
    log_probs = torch.randn(2, 3, 5).log_softmax(1)
    texts = [(1, 1, 2), (2,)]
    expected = (loss_of(log_probs[0], texts[0]) + loss_of(log_probs[1, :, :3], texts[1])) / 2
    heard = Heard(log_probs, torch.tensor([5, 3]))
    found = ctc_loss(heard, torch.tensor([[1, 1, 2], [2, 0, 0]]), torch.tensor([3, 1]))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_a_text_that_does_not_fit_counts_as_nothing() -> None:
    log_probs = torch.randn(1, 3, 2).log_softmax(1).requires_grad_()
    loss = ctc_loss(Heard(log_probs, torch.tensor([2])), torch.tensor([[1, 1]]), torch.tensor([2]))
    loss.backward()
    assert float(loss.detach()) == 0
    assert log_probs.grad is not None
    assert bool(log_probs.grad.isfinite().all())


def utterances(random: torch.Generator) -> tuple[Tensor, Tensor, list[list[int]]]:
    """Eight utterances whose letters are bumps in bands of their own, of any length, with pauses."""
    texts = [[1], [2, 1], [3, 3], [4, 5, 1], [5], [2, 2, 4], [1, 3, 5, 2], [4, 4]]
    mels = []
    for text in texts:
        parts = [torch.full((8, 3), -6.0)]
        for letter in text:
            bump = torch.full((8, int(torch.randint(4, 9, (), generator=random))), -6.0)
            bump[letter : letter + 2] = 0.0
            parts += [bump, torch.full((8, 5), -6.0)]
        mels.append(torch.cat(parts, 1))
    lengths = torch.tensor([mel.shape[1] for mel in mels])
    padded = torch.nn.utils.rnn.pad_sequence([mel.T for mel in mels], batch_first=True).transpose(1, 2)
    return padded + 0.1 * torch.randn(padded.shape, generator=random), lengths, texts


def test_it_learns_eight_utterances_without_errors() -> None:
    random = torch.Generator().manual_seed(0)
    model = build().train()
    mel, lengths, texts = utterances(random)
    ids = torch.nn.utils.rnn.pad_sequence([torch.tensor(text) for text in texts], batch_first=True)
    id_lengths = torch.tensor([len(text) for text in texts])
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(150):
        loss = ctc_loss(model(mel, lengths), ids, id_lengths)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        heard = model.eval()(mel, lengths)
    found = [
        read_greedily(log_probs[:, : int(length)].numpy(), 0)
        for log_probs, length in zip(heard.log_probs, heard.lengths, strict=True)
    ]
    assert found == texts


@pytest.mark.parametrize(
    "options", [{"kernel_size": 4}, {"first_kernel_size": 3, "stride": 4}, {"n_layers": 0}, {"dropout": 1.0}]
)
def test_sizes_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        CtcRecognizerConfig(**options)  # type: ignore[arg-type]
