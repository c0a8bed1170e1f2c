"""Linear layers by the kernels that are fastest on a processor."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

_WORTH_PACKING = 2**16  # values of a weight
_ROWS = 64  # that the packed layout is chosen for; any number above 1 leads to the same, which is good for all


class PackedWeight:
    """A weight in the layout that the kernels read fastest, for a layer that decodes.

    A weight that is used a second time is kept once more, packed, until it changes: decoding a few rows at a time waits
    for nothing but weights. It follows every change but those behind the back of PyTorch's counting of versions
    (`weight.data.copy_`). Copies and pickles begin empty.
    """

    def __init__(self) -> None:
        self.packed: Tensor | None = None
        self._seen: tuple[int, int] | None = None

    def product(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """`linear` with the layer's own `weight`; with gradients nothing is kept."""
        if torch.is_grad_enabled() or not _is_for_onednn(x, weight):
            self.forget()
            return linear(x, weight, bias)
        return _product(x, self._fastest(weight), bias)

    def forget(self) -> None:
        """Training goes on; some optimizers do not count the versions that they make."""
        self.packed = self._seen = None

    def _fastest(self, parameter: Tensor) -> Tensor:
        """The weight, packed where it is used again unchanged."""
        weight = parameter.detach()
        if weight.numel() < _WORTH_PACKING or weight.is_inference():
            return weight
        now = (weight.data_ptr(), parameter._version)
        if now != self._seen:
            self.packed, self._seen = None, now
            return weight
        if self.packed is None:
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), _ROWS)
        return self.packed

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: not what is packed."""
        return {"packed": None, "_seen": None}


class Linear(nn.Module):
    """`nn.Linear`, its parameters and first values, by `linear`; without gradients see `PackedWeight`.

    Args:
        n_in: features that come.
        n_out: features that leave.
        bias: whether one is added.
    """

    def __init__(self, n_in: int, n_out: int, bias: bool = True) -> None:
        super().__init__()
        layer = nn.Linear(n_in, n_out, bias)
        self.weight, self.bias = layer.weight, layer.bias
        self._pack = PackedWeight()

    def forward(self, x: Tensor) -> Tensor:
        """(..., n_in) → (..., n_out)."""
        return self._pack.product(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`functional.linear`: x (..., n_in) times the transpose of weight (n_out, n_in), plus bias (n_out,).

    On processors in float32 by oneDNN, which uses AVX-512 whoever made them. The BLAS behind `functional.linear` does
    not: on one of AMD's it took 2.5 times as long for hundreds of rows, and 2 to 3 times as long for the few rows that
    decoding asks for. Everything else, graphs that are being exported included, goes the usual way.
    """
    if not _is_for_onednn(x, weight):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled() and any(part is not None and part.requires_grad for part in (x, weight, bias)):
        if x.ndim == 2:
            return _OneDnnLinear.apply(x, weight, bias)
        return _OneDnnLinear.apply(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], -1)
    return _product(x, weight, bias)


def _is_for_onednn(x: Tensor, weight: Tensor) -> bool:
    return (
        not torch.jit.is_tracing()
        and x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and x.numel() > 0
        and torch.backends.mkldnn.is_available()
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


def _product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(weight), bias, "none", [], "")


def _dense(x: Tensor) -> Tensor:
    """A tensor laid out by rows or by columns; the kernel for any other layout is a hundred times slower."""
    if x.layout != torch.strided or x.is_contiguous() or (x.ndim == 2 and x.T.is_contiguous()):
        return x
    return x.contiguous()


class _OneDnnLinear(torch.autograd.Function):
    """Forward and both ways back by the same kernels, of x (N, n_in)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _product(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x = _product(gradient, weight.T) if ctx.needs_input_grad[0] else None
        of_weight = _product(gradient.T, x.T) if ctx.needs_input_grad[1] else None
        return of_x, of_weight, gradient.sum(0) if ctx.needs_input_grad[2] else None
