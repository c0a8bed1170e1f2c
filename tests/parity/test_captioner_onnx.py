"""Caption decoders in ONNX Runtime against torch: other batch sizes, and a state that grows from empty."""

import io
import warnings
from collections.abc import Callable

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from optophone.models.captioners import (
    AdaptiveAttention,
    AdaptiveAttentionConfig,
    AttentionOnAttention,
    AttentionOnAttentionConfig,
    CaptionDecoder,
    HardAttendTell,
    HardAttendTellConfig,
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
from optophone.models.captioners.build import FAMILY

V, D, GRID = 11, 12, (2, 3)
MEMBERS: dict[str, Callable[[], nn.Module]] = {
    "show-attend-tell": lambda: ShowAttendTell(ShowAttendTellConfig(V, D, 16, 10, 14)),
    "show-attend-tell, deep and tied": lambda: ShowAttendTell(
        ShowAttendTellConfig(V, D, 16, 10, 14, deep_output=True, tied_embeddings=True)
    ),
    "transformer": lambda: TransformerCaptioner(
        TransformerCaptionerConfig(V, D, dim=16, n_heads=2, n_layers=2, feed_forward_dim=32, max_length=4, grid=GRID)
    ),
    "show-and-tell": lambda: ShowAndTell(ShowAndTellConfig(V, D, 16, 14)),
    "show-and-tell, the picture at every step": lambda: ShowAndTell(
        ShowAndTellConfig(V, D, 16, 14, picture_at_every_step=True)
    ),
    "hard-attend-tell": lambda: HardAttendTell(HardAttendTellConfig(V, D, 16, 10, 14)),
    "hard-attend-tell, arg-max": lambda: HardAttendTell(HardAttendTellConfig(V, D, 16, 10, 14, at_test="arg-max")),
    "adaptive-attention": lambda: AdaptiveAttention(AdaptiveAttentionConfig(V, D, 14, 10, 16)),
    "top-down": lambda: TopDown(TopDownConfig(V, D, 14, 10, 16)),
    "attention-on-attention": lambda: AttentionOnAttention(
        AttentionOnAttentionConfig(V, D, dim=16, n_heads=2, n_refining_layers=2)
    ),
    "look-back-predict-forward": lambda: LookBackPredictForward(LookBackPredictForwardConfig(V, D, 14, 10, 16)),
    "semantic-attention": lambda: SemanticAttention(
        SemanticAttentionConfig(V, D, dim=16, first_attribute=3, n_attributes=6, n_chosen=4)
    ),
    "x-lan": lambda: XLan(XLanConfig(V, D, dim=16, n_heads=2, n_encoder_blocks=2, n_decoder_blocks=2)),
    "x-transformer": lambda: XTransformer(
        XTransformerConfig(V, D, dim=16, n_heads=2, n_encoder_layers=1, n_layers=2, feed_forward_dim=32, max_length=4)
    ),
}


class Begin(nn.Module):
    """`begin` with a flat tuple as result."""

    def __init__(self, decoder: CaptionDecoder) -> None:
        super().__init__()
        self.decoder = decoder

    def forward(self, regions: Tensor) -> tuple[Tensor, ...]:
        memory, state = self.decoder.begin(regions, None)
        return *memory, *state


class Step(nn.Module):
    """`step` with flat tuples."""

    def __init__(self, decoder: CaptionDecoder, n_memory: int) -> None:
        super().__init__()
        self.decoder = decoder
        self.n_memory = n_memory

    def forward(self, ids: Tensor, *rest: Tensor) -> tuple[Tensor, ...]:
        log_probs, attention, state = self.decoder.step(ids, rest[: self.n_memory], rest[self.n_memory :])
        return log_probs, attention, *state


def exported(
    module: nn.Module, inputs: tuple[Tensor, ...], names: list[str], results: list[str], growing: set[str]
) -> onnxruntime.InferenceSession:
    """`module` as an ONNX Runtime session whose first axes are dynamic, and axis 3 of those in `growing`."""
    axes = {name: {0: "rows"} | ({3: f"{name}.length"} if name in growing else {}) for name in names + results}
    graph = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # eval(): the exporter restores the wrapper's mode afterwards, on the decoder inside too.
        torch.onnx.export(
            module.eval(), inputs, graph, input_names=names, output_names=results, dynamic_axes=axes, dynamo=False
        )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(graph.getvalue(), options)


def assert_near(found: list[np.ndarray], expected: tuple[Tensor, ...]) -> None:
    for mine, theirs in zip(found, expected, strict=True):
        assert mine.shape == theirs.shape
        np.testing.assert_allclose(mine, theirs.numpy(), atol=1e-5, rtol=1e-5)


def test_the_whole_family_is_here() -> None:
    assert {name.split(",")[0] for name in MEMBERS} == set(FAMILY)


@pytest.mark.parametrize("member", MEMBERS)
@torch.no_grad()
def test_begin_and_every_step_agree(member: str) -> None:
    torch.manual_seed(0)
    decoder = MEMBERS[member]().eval()
    regions, ids = torch.randn(2, GRID[0] * GRID[1], D), torch.tensor([1, 2])
    memory, state = decoder.begin(regions, None)
    following = decoder.step(ids, memory, state)[2]
    memories = [f"memory.{i}" for i in range(len(memory))]
    states = [f"state.{i}" for i in range(len(state))]
    nexts = [f"next.{name}" for name in states]
    grown = [i for i in range(len(state)) if state[i].shape != following[i].shape]
    growing = {states[i] for i in grown} | {nexts[i] for i in grown}
    begin = exported(Begin(decoder), (regions,), ["regions"], memories + states, set())
    inputs = ["ids", *memories, *states]
    step = exported(
        Step(decoder, len(memory)), (ids, *memory, *following), inputs, ["log_probs", "attention", *nexts], growing
    )
    for n in (1, 3):
        regions = torch.randn(n, GRID[0] * GRID[1], D)
        memory, state = decoder.begin(regions, None)
        found = begin.run(None, {"regions": regions.numpy()})
        assert_near(found, (*memory, *state))
        kept, rows = dict(zip(memories, found, strict=False)), found[len(memory) :]
        for s in range(6):  # two more than the transformer has positions for
            ids = torch.arange(n) + s
            log_probs, attention, state = decoder.step(ids, memory, state)
            found = step.run(None, {"ids": ids.numpy(), **kept, **dict(zip(states, rows, strict=True))})
            assert_near(found, (log_probs, attention, *state))
            rows = found[2:]
