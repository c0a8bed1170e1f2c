"""The same promises of every captioner decoder. A new member joins by one line in MEMBERS."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import Tensor, nn

from optophone.models.captioners import (
    AdaptiveAttention,
    AdaptiveAttentionConfig,
    AttentionOnAttention,
    AttentionOnAttentionConfig,
    Captioner,
    HardAttendTell,
    HardAttendTellConfig,
    HasAuxiliaryLosses,
    LookBackPredictForward,
    LookBackPredictForwardConfig,
    SemanticAttention,
    SemanticAttentionConfig,
    ShowAndTell,
    ShowAndTellConfig,
    ShowAttendTell,
    ShowAttendTellConfig,
    TopDown,
    TopDownConfig,
    TransformerCaptioner,
    TransformerCaptionerConfig,
    XLan,
    XLanConfig,
    XTransformer,
    XTransformerConfig,
)
from optophone.models.captioners.bottleneck import BottleneckConfig, BottleneckedDecoder
from optophone.models.captioners.build import FAMILY
from optophone.training.caption_loss import caption_cross_entropy

V, D, ROWS, COLUMNS = 11, 12, 2, 3
R = ROWS * COLUMNS
SAT = ShowAttendTellConfig(V, D, embedding_dim=16, attention_dim=10, hidden_dim=16)
TRANSFORMER = TransformerCaptionerConfig(
    V, D, dim=16, n_heads=2, n_layers=2, n_encoder_layers=1, feed_forward_dim=32, max_length=8, grid=(ROWS, COLUMNS)
)

MEMBERS: dict[str, Callable[[], nn.Module]] = {
    "show-attend-tell": lambda: ShowAttendTell(SAT),
    "show-attend-tell, deep and tied": lambda: ShowAttendTell(
        ShowAttendTellConfig(V, D, 16, 10, 14, region_dropout=0.1, deep_output=True, tied_embeddings=True)
    ),
    "transformer": lambda: TransformerCaptioner(TRANSFORMER),
    "transformer, bare": lambda: TransformerCaptioner(
        TransformerCaptionerConfig(
            V, D, dim=16, n_heads=4, n_layers=1, n_encoder_layers=0, feed_forward_dim=32, tied_embeddings=False
        )
    ),
    "show-and-tell": lambda: ShowAndTell(ShowAndTellConfig(V, D, embedding_dim=16, hidden_dim=24)),
    "show-and-tell, tied": lambda: ShowAndTell(ShowAndTellConfig(V, D, 16, 16, tied_embeddings=True)),
    "show-and-tell, the picture at every step": lambda: ShowAndTell(
        ShowAndTellConfig(V, D, 16, 14, picture_at_every_step=True, tied_embeddings=True)
    ),
    "hard-attend-tell": lambda: HardAttendTell(HardAttendTellConfig(V, D, 16, 10, 16)),
    "hard-attend-tell, arg-max": lambda: HardAttendTell(
        HardAttendTellConfig(V, D, 16, 10, 14, deep_output=True, expected_share=0.0, at_test="arg-max")
    ),
    "adaptive-attention": lambda: AdaptiveAttention(AdaptiveAttentionConfig(V, D, 14, 10, 16)),
    "adaptive-attention, tied": lambda: AdaptiveAttention(
        AdaptiveAttentionConfig(V, D, 16, 10, 16, tied_embeddings=True)
    ),
    "top-down": lambda: TopDown(TopDownConfig(V, D, 14, 10, 16)),
    "attention-on-attention": lambda: AttentionOnAttention(
        AttentionOnAttentionConfig(V, D, dim=16, n_heads=2, n_refining_layers=2)
    ),
    "attention-on-attention, not refined, tied": lambda: AttentionOnAttention(
        AttentionOnAttentionConfig(V, D, dim=16, n_heads=4, n_refining_layers=0, tied_embeddings=True)
    ),
    "look-back-predict-forward": lambda: LookBackPredictForward(LookBackPredictForwardConfig(V, D, 14, 10, 16)),
    "look-back-predict-forward, not mixed": lambda: LookBackPredictForward(
        LookBackPredictForwardConfig(V, D, 16, 10, 16, tied_embeddings=True, forward_share=0.0)
    ),
    "semantic-attention": lambda: SemanticAttention(
        SemanticAttentionConfig(V, D, dim=16, first_attribute=3, n_attributes=6, n_chosen=4, attention_penalty=0.1)
    ),
    "x-lan": lambda: XLan(
        XLanConfig(V, D, dim=16, n_heads=2, n_encoder_blocks=2, encoder_mid_dim=6, decoder_mid_dim=5)
    ),
    "x-lan, two blocks behind the LSTM, tied": lambda: XLan(
        XLanConfig(
            V, D, dim=16, n_heads=4, n_encoder_blocks=1, n_decoder_blocks=2, decoder_mid_dim=6, tied_embeddings=True
        )
    ),
    "x-transformer": lambda: XTransformer(
        XTransformerConfig(
            V, D, dim=16, n_heads=2, n_encoder_layers=1, n_layers=2, feed_forward_dim=32, mid_dim=6, max_length=8
        )
    ),
    "hard-attend-tell, through a bottleneck": lambda: BottleneckedDecoder(
        HardAttendTell(HardAttendTellConfig(V, D, 16, 10, 16)), BottleneckConfig(6, 16, 2), D
    ),
    "x-lan, through a bottleneck": lambda: BottleneckedDecoder(
        XLan(XLanConfig(V, D, dim=16, n_heads=2, n_encoder_blocks=1, encoder_mid_dim=6, decoder_mid_dim=5)),
        BottleneckConfig(6, 16, 2),
        D,
    ),
}


def test_the_whole_family_is_here():
    assert {name.split(",")[0] for name in MEMBERS} == set(FAMILY)


@pytest.fixture(params=MEMBERS)
def decoder(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(3)
    return MEMBERS[request.param]().eval()


@pytest.fixture
def regions() -> Tensor:
    return torch.randn(3, R, D, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def ids() -> Tensor:
    return torch.randint(1, V, (3, 5), generator=torch.Generator().manual_seed(7))


def assert_near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_shapes_and_attention_that_sums_to_one(decoder, regions, ids):
    output = decoder(regions, None, ids)
    assert output.logits.shape == (3, 5, V)
    assert output.attention.shape == (3, 5, R)
    assert_near(output.attention.sum(-1), torch.ones(3, 5))


def test_padded_batch_equals_single_item(decoder, regions, ids):
    lengths = (5, 2, 3)
    padded = torch.stack([torch.cat([row[:n], row.new_zeros(5 - n)]) for row, n in zip(ids, lengths, strict=True)])
    batch = decoder(regions, None, padded)
    for i, n in enumerate(lengths):
        single = decoder(regions[i : i + 1], None, ids[i : i + 1, :n])
        assert_near(batch.logits[i, :n], single.logits[0])
        assert_near(batch.attention[i, :n], single.attention[0])


def test_masked_regions_are_ignored(decoder, regions, ids):
    mask = torch.ones(3, R, dtype=torch.bool)
    mask[0, 4:] = False
    mask[2, 1:] = False
    other = torch.where(mask.unsqueeze(-1), regions, torch.full_like(regions, 50.0))
    expected, found = decoder(regions, mask, ids), decoder(other, mask, ids)
    assert_near(found.logits, expected.logits)
    assert expected.attention.masked_select(~mask.unsqueeze(1)).abs().max() == 0
    assert not torch.allclose(decoder(regions, None, ids).logits[0], expected.logits[0], atol=1e-4)


def test_all_valid_mask_equals_no_mask(decoder, regions, ids):
    expected, found = decoder(regions, None, ids), decoder(regions, torch.ones(3, R, dtype=torch.bool), ids)
    assert_near(found.logits, expected.logits)


def test_the_picture_matters(decoder, regions, ids):
    assert not torch.allclose(decoder(regions, None, ids).logits, decoder(regions.flip(0), None, ids).logits, atol=1e-4)


def test_the_future_is_not_seen(decoder, regions, ids):
    changed = ids.clone()
    changed[:, 3:] = (changed[:, 3:] + 1) % V
    assert_near(decoder(regions, None, changed).logits[:, :3], decoder(regions, None, ids).logits[:, :3])


@pytest.mark.parametrize("masked", [False, True])
def test_stepwise_equals_full_forward(decoder, regions, ids, masked):
    mask = torch.arange(R) < torch.tensor([[R], [2], [4]]) if masked else None
    output = decoder(regions, mask, ids)
    memory, state = decoder.begin(regions, mask)
    for s in range(ids.shape[1]):
        log_probs, attention, state = decoder.step(ids[:, s], memory, state)
        assert_near(log_probs, output.logits[:, s].log_softmax(-1))
        assert_near(attention, output.attention[:, s])


def test_beams_can_be_repeated_and_reordered(decoder, regions, ids):
    """A search repeats the rows of memory and state, and reorders the state's: the rows must stay independent."""
    prefixes, order = ids[:, :3], torch.tensor([2, 0, 1, 1])
    rows = torch.tensor([1, 1, 1])
    memory, state = decoder.begin(regions, None)
    memory, state = tuple(x[rows] for x in memory), tuple(x[rows] for x in state)
    for s in range(3):
        _, _, state = decoder.step(prefixes[:, s], memory, state)
    state = tuple(x[order] for x in state)
    following = torch.tensor([4, 5, 6, 7])
    log_probs, _, _ = decoder.step(following, tuple(x[order] for x in memory), state)
    whole = torch.cat([prefixes[order], following[:, None]], 1)
    expected = decoder(regions[1:2].expand(4, -1, -1), None, whole).logits[:, -1].log_softmax(-1)
    assert_near(log_probs, expected)


def test_several_captions_per_picture_equal_repeated_regions(decoder, regions):
    ids = torch.randint(1, V, (6, 4), generator=torch.Generator().manual_seed(9))
    mask = torch.arange(R) < torch.tensor([[R], [2], [4]])
    together = decoder(regions, mask, ids, captions_per_picture=2)
    apart = decoder(regions.repeat_interleave(2, 0), mask.repeat_interleave(2, 0), ids)
    assert_near(together.logits, apart.logits)
    assert_near(together.attention, apart.attention)


def test_gradient_reaches_every_parameter(decoder, regions, ids):
    decoder.train()
    output = decoder(regions.requires_grad_(), None, ids)
    weights = torch.randn(output.logits.shape, generator=torch.Generator().manual_seed(1))
    loss = (output.logits.log_softmax(-1) * weights).sum()
    if isinstance(decoder, HasAuxiliaryLosses):
        loss = loss + sum(decoder.auxiliary_losses(output, ids.roll(-1, 1), ignored=0).values())
    loss.backward()
    untouched = [n for n, p in decoder.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-7]
    assert not untouched
    assert regions.grad is not None
    assert regions.grad.abs().min(-1).values.max() > 0


def test_losses_of_its_own_are_named_finite_scalars(decoder, regions):
    if not isinstance(decoder, HasAuxiliaryLosses):
        pytest.skip("cross-entropy alone")
    decoder.train()
    ids = torch.tensor([[1, 5, 6, 4], [1, 7, 0, 0], [1, 5, 8, 3]]).repeat_interleave(2, 0)
    targets = torch.tensor([[5, 6, 4, 2], [7, 2, 0, 0], [5, 8, 3, 2]]).repeat_interleave(2, 0)
    losses = decoder.auxiliary_losses(decoder(regions, None, ids, captions_per_picture=2), targets, 0)
    assert losses
    assert all(loss.shape == () and loss.isfinite() for loss in losses.values())
    changed = ids.clone()
    changed[2:4, 2:] = 9  # after a caption's end
    torch.manual_seed(0)
    losses = decoder.eval().auxiliary_losses(decoder(regions, None, ids, captions_per_picture=2), targets, 0)
    again = decoder.auxiliary_losses(decoder(regions, None, changed, captions_per_picture=2), targets, 0)
    assert losses.keys() == again.keys()
    for name, loss in losses.items():
        assert_near(again[name], loss)


def test_overfits_one_batch(decoder, regions):
    captions = torch.tensor([[1, 5, 6, 2], [1, 7, 2, 0], [1, 5, 8, 2]])
    optimizer = torch.optim.Adam(decoder.parameters(), 1e-2)
    for _ in range(120):
        optimizer.zero_grad()
        loss = caption_cross_entropy(decoder(regions, None, captions[:, :-1]).logits, captions[:, 1:], ignored=0)
        loss.backward()
        optimizer.step()
    best = decoder(regions, None, captions[:, :-1]).logits.argmax(-1)
    assert loss < 0.1
    assert torch.equal(best[captions[:, 1:] != 0], captions[:, 1:][captions[:, 1:] != 0])


def test_saves_and_loads_equal(decoder, regions, ids, tmp_path: Path, request: pytest.FixtureRequest):
    save_model(decoder, str(tmp_path / "model.safetensors"))
    torch.manual_seed(99)
    again = MEMBERS[request.node.callspec.params["decoder"]]().eval()
    assert not torch.equal(again(regions, None, ids).logits, decoder(regions, None, ids).logits)
    load_model(again, str(tmp_path / "model.safetensors"))
    assert torch.equal(again(regions, None, ids).logits, decoder(regions, None, ids).logits)


def test_brain_float_training_stays_close(decoder, regions, ids):
    expected = decoder(regions, None, ids).logits
    with torch.autocast("cpu", torch.bfloat16):
        output = decoder(regions, None, ids)
    torch.testing.assert_close(output.logits.float(), expected, atol=0.1, rtol=0.1)
    assert_near(output.attention.sum(-1).float(), torch.ones(3, 5))


def test_joined_with_an_encoder(decoder, ids):
    encoder = nn.Sequential(nn.Conv2d(3, D, 4, stride=4), nn.Flatten(2), Transposed())
    captioner = Captioner(encoder, decoder).eval()
    pictures = torch.randn(3, 3, 4 * ROWS, 4 * COLUMNS)
    output = captioner(pictures, ids)
    memory, state = captioner.begin(pictures)
    log_probs, _, _ = captioner.step(ids[:, 0], memory, state)
    assert_near(log_probs, output.logits[:, 0].log_softmax(-1))
    assert_near(output.logits, decoder(encoder(pictures), None, ids).logits)
    assert captioner(pictures, ids.repeat_interleave(2, 0), 2).logits.shape == (6, 5, V)


class Transposed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(1, 2)
