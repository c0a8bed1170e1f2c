"""The attention LSTM and the attention over a whole sequence, teacher-forced."""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from optophone.models.acoustic.attention import LocationAttention
from optophone.models.acoustic.lstm_cell import LSTMCell, lstm_activate_, lstm_gradients
from optophone.models.acoustic.product_precision import product_dtype, state_dtype


def attention_sequence(
    cell: LSTMCell,
    attention: LocationAttention,
    squeezed: Tensor,
    encoded: Tensor,
    processed: Tensor,
    bias: Tensor,
    mask: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """U steps from zeros: hidden states and contexts side by side (U, B, H + D), and the alignment (U, B, S).

    The same as `LSTMCell` and `LocationAttention` in turn, with everything that does not depend on the step before
    taken out of the loop, and a backward written by hand: the loop is most of a training step.

    Args:
        cell: the attention LSTM; its input is the prenet's output, then the last context.
        attention: reads the memory.
        squeezed: (U, B, P) prenet outputs.
        encoded, processed, bias: the `DecoderMemory`.
        mask: (U, B, H) multiplies each hidden state, also where it feeds back.
    """
    dtype, n_in = product_dtype(squeezed), squeezed.shape[2]
    inputs = functional.linear(squeezed, cell.weight_ih[:, :n_in], cell.bias_ih + cell.bias_hh)
    recurrent = torch.cat((cell.weight_hh, cell.weight_ih[:, n_in:]), dim=1)
    kernel = attention.location_kernel().flatten(1)
    weights = (recurrent, attention.query.weight, kernel, attention.energy.weight[0])
    keep = torch.is_grad_enabled()
    return _AttentionSequence.apply(inputs, *weights, encoded, processed, bias, mask, dtype, keep)


class _AttentionSequence(torch.autograd.Function):
    """Gradients of weights are summed in one product after the loop wherever the summands fit in memory."""

    @staticmethod
    def forward(
        ctx: Any,
        inputs: Tensor,
        recurrent: Tensor,
        query: Tensor,
        kernel: Tensor,
        energy: Tensor,
        encoded: Tensor,
        processed: Tensor,
        bias: Tensor,
        mask: Tensor | None,
        dtype: torch.dtype,
        keep: bool,
    ) -> tuple[Tensor, Tensor]:
        (n_steps, batch, _), (n_symbols, attention_dim) = inputs.shape, processed.shape[1:]
        size = query.shape[1]
        full = state_dtype(inputs)
        gates = inputs.to(full, copy=True)
        cells = gates.new_zeros(n_steps + 1, batch, size)
        joined = inputs.new_zeros(n_steps + 1, batch, recurrent.shape[1], dtype=dtype)
        alignment = gates.new_empty(n_steps, batch, n_symbols)
        features = inputs.new_empty(n_steps if keep else 1, batch, n_symbols, attention_dim, dtype=dtype)
        recurrent_t, query_t, kernel_t = (weight.to(dtype).t() for weight in (recurrent, query, kernel))
        memory, view, direction = encoded.to(full), processed.to(dtype), energy.to(dtype)
        seen = _Windows(batch, n_symbols, kernel.shape[1] // 2, gates)
        with torch.autocast(inputs.device.type, enabled=False):
            for i in range(n_steps):
                gates[i] += joined[i] @ recurrent_t
                hidden = lstm_activate_(gates[i], cells[i], cells[i + 1])
                joined[i + 1, :, :size] = hidden if mask is None else hidden * mask[i]
                feature = features[i if keep else 0]
                torch.mm(seen.columns(dtype), kernel_t, out=feature.view(-1, attention_dim))
                feature += view
                feature += (joined[i + 1, :, :size] @ query_t)[:, None]
                energies = (feature.tanh_() @ direction).to(full)
                torch.softmax(energies + bias, dim=1, out=alignment[i])
                joined[i + 1, :, size:] = torch.bmm(alignment[i, :, None], memory)[:, 0]
                seen.add(alignment[i])
        if keep:
            ctx.save_for_backward(
                gates, cells, joined, alignment, features, recurrent, query, kernel, energy, encoded, processed, mask
            )
        ctx.inputs_dtype = inputs.dtype
        return joined[1:].clone(), alignment.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        gates, cells, joined, alignment, features, *weights, encoded, processed, mask = ctx.saved_tensors
        grad_joined_output, grad_alignment = grads
        recurrent, query, kernel, energy = (weight.to(joined.dtype) for weight in weights)
        n_steps, batch, n_symbols, attention_dim = features.shape
        size, kernel_size, dtype = query.shape[1], kernel.shape[1] // 2, joined.dtype
        memory = encoded.to(gates.dtype).transpose(1, 2).contiguous()
        grad_gates = torch.empty_like(gates, dtype=dtype)
        grad_queries = joined.new_empty(n_steps, batch, attention_dim)
        grad_contexts = gates.new_empty(n_steps, batch, memory.shape[1])
        grad_kernel = torch.zeros_like(kernel, dtype=gates.dtype)
        grad_energy = torch.zeros_like(energy, dtype=gates.dtype)
        grad_view = gates.new_zeros(batch, n_symbols, attention_dim)
        grad_joined, grad_cell = gates.new_zeros(batch, joined.shape[2]), torch.zeros_like(cells[0])
        grad_seen = gates.new_zeros(batch, 2, n_symbols)
        fold = _Fold(batch, n_symbols, kernel_size, gates)
        seen = _Windows(batch, n_symbols, kernel_size, gates)
        previous = torch.cat((torch.zeros_like(alignment[:1]), alignment[:-1]))
        cumulative = previous.cumsum(0)
        with torch.autocast(gates.device.type, enabled=False):
            for i in reversed(range(n_steps)):
                grad_joined = grad_joined + grad_joined_output[i]
                grad_contexts[i] = grad_joined[:, size:]
                grad_weights = torch.bmm(grad_contexts[i, :, None], memory)[:, 0]
                grad_weights += grad_alignment[i] + grad_seen.sum(1)
                grad_weights *= alignment[i]
                grad_energies = grad_weights - alignment[i] * grad_weights.sum(1, keepdim=True)
                feature, flat_energies = features[i].view(-1, attention_dim), grad_energies.flatten().to(dtype)
                grad_energy += flat_energies @ feature
                grad_feature = torch.addcmul(energy, feature * feature, energy, value=-1) * flat_energies[:, None]
                by_item = grad_feature.view(batch, n_symbols, attention_dim)
                grad_view += by_item
                grad_queries[i] = by_item.sum(1)
                seen.set(previous[i], cumulative[i])
                grad_kernel += grad_feature.t() @ seen.columns(dtype)
                # The cumulative weights of a step are those of the step before and more: their gradient stays.
                grad_seen[:, 0] = 0
                grad_seen += fold(grad_feature @ kernel)
                grad_hidden = grad_joined[:, :size] + grad_queries[i] @ query
                if mask is not None:
                    grad_hidden = grad_hidden * mask[i]
                slope, grad_cell = lstm_gradients(gates[i], cells[i], cells[i + 1], grad_hidden, grad_cell)
                grad_gates[i] = slope
                grad_joined = (grad_gates[i] @ recurrent).to(gates.dtype)
            flat_gates = grad_gates.flatten(0, 1)
            grad_recurrent = flat_gates.t() @ joined[:-1].flatten(0, 1)
            grad_query = grad_queries.flatten(0, 1).t() @ joined[1:, :, :size].flatten(0, 1)
            grad_encoded = torch.bmm(alignment.permute(1, 2, 0), grad_contexts.transpose(0, 1))
        grad_weights_all = (grad_recurrent, grad_query, grad_kernel, grad_energy)
        return (
            grad_gates.to(ctx.inputs_dtype),
            *(grad.to(weight.dtype) for grad, weight in zip(grad_weights_all, weights, strict=True)),
            grad_encoded.to(encoded.dtype),
            grad_view.to(processed.dtype),
            *(None,) * 4,
        )


class _Windows:
    """Previous and cumulative weights, zeros at first, and what the location kernel sees of them at each symbol."""

    def __init__(self, batch: int, n_symbols: int, kernel_size: int, like: Tensor) -> None:
        self.half = kernel_size // 2
        self.n_symbols = n_symbols
        self.padded = like.new_zeros(batch, 2, n_symbols + kernel_size - 1)
        self.weights = self.padded[:, :, self.half : self.half + n_symbols]
        # (B, S, 2, K), a view: window s begins at symbol s - half.
        self.view = self.padded.unfold(2, kernel_size, 1).transpose(1, 2)

    def add(self, weights: Tensor) -> None:
        """Take one step: `weights` (B, S) become the previous ones and join the cumulative ones."""
        self.weights[:, 0] = weights
        self.weights[:, 1] += weights

    def set(self, previous: Tensor, cumulative: Tensor) -> None:
        """See the weights `previous` and `cumulative` (B, S)."""
        self.weights[:, 0] = previous
        self.weights[:, 1] = cumulative

    def columns(self, dtype: torch.dtype) -> Tensor:
        """(B · S, 2 · K)."""
        return self.view.to(dtype).flatten(2).flatten(0, 1)


class _Fold:
    """The adjoint of `_Windows.columns`: gradients of windows (B · S, 2 · K) to those of weights (B, 2, S)."""

    def __init__(self, batch: int, n_symbols: int, kernel_size: int, like: Tensor) -> None:
        length = n_symbols + kernel_size - 1
        self.half, self.n_symbols = kernel_size // 2, n_symbols
        self.shape = (batch, n_symbols, 2, kernel_size)
        self.skewed = like.new_zeros(batch, 2, n_symbols, length)
        # Window s of `skewed` lies at s .. s + K, where its gradients belong; the rest stays zero.
        strides = (2 * n_symbols * length, length + 1, n_symbols * length, 1)
        self.windows = self.skewed.as_strided(self.shape, strides)

    def __call__(self, grad_columns: Tensor) -> Tensor:
        self.windows.copy_(grad_columns.view(self.shape))
        return self.skewed.sum(2)[:, :, self.half : self.half + self.n_symbols]
