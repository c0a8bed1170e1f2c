"""Sequences as rows (T, C), one row a step: products with the kernels that are fastest on a processor, and windows."""

import torch
from torch import Tensor
from torch.nn import functional


def multiply_rows(rows: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """`rows` (T, I) times the transpose of `weight` (O, I), plus `bias` (O,): (T, O).

    On processors by oneDNN, which uses AVX-512 whoever made them; the BLAS behind `functional.linear` does not, and
    took twice as long on one of AMD's.
    """
    if rows.device.type == "cpu" and rows.dtype == torch.float32 and len(rows) and torch.backends.mkldnn.is_available():
        return torch.ops.mkldnn._linear_pointwise(rows, weight, bias, "none", [], "")
    return functional.linear(rows, weight, bias)


def convolve_rows(rows: Tensor, kernel: Tensor, dilation: int) -> Tensor:
    """The convolution of `rows` (T + (K - 1) * dilation, I) with `kernel` (O, I, 1, K): (T, O), nothing padded.

    Rows are what a convolution of pictures calls channels-last, and there no other layout is faster.
    """
    found = functional.conv2d(rows.t()[None, :, None], kernel, dilation=(1, dilation))
    return found.permute(0, 2, 3, 1).reshape(-1, len(kernel))


class RowWindow:
    """Rows that come in portions and leave with the `reach` rows before and after them that a convolution sees.

    Before the first row and after the last there are zeros.
    """

    def __init__(self, reach: int, n_columns: int, device: torch.device) -> None:
        self.reach = reach
        self.zeros = torch.zeros(reach, n_columns, device=device)
        self.kept = self.zeros

    def push(self, rows: Tensor, last: bool) -> Tensor:
        """`rows` (n, C), in at the end, the very end if `last`; out come n' settled rows with their neighbours.

        Returns:
            (n' + 2 reach, C), or nothing (0, C) where none is settled.
        """
        joined = torch.cat((self.kept, rows, self.zeros) if last else (self.kept, rows))
        n_settled = len(joined) - 2 * self.reach
        if n_settled <= 0:
            self.kept = joined
            return joined[:0]
        self.kept = joined[n_settled:]
        return joined
