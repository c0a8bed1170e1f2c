"""Location-sensitive attention: where in the text the decoder reads."""

import torch
from torch import Tensor, nn
from torch.nn import functional


class LocationAttention(nn.Module):
    """Additive attention that also sees where it looked before.

    energy = v · tanh(W query + V memory + U (F * [previous, cumulative weights])), softmax over the symbols.

    Args:
        query_dim, memory_dim: features of the query and of the memory.
        attention_dim: features inside the tanh.
        n_filters, kernel_size: of the location convolution F; `kernel_size` is odd.

    Source: Chorowski et al. 2015, equations 8 and 9; Shen et al. 2018, section 2.2.
    """

    def __init__(self, query_dim: int, memory_dim: int, attention_dim: int, n_filters: int, kernel_size: int) -> None:
        super().__init__()
        assert kernel_size % 2 == 1
        self.query = nn.Linear(query_dim, attention_dim, bias=False)
        self.memory = nn.Linear(memory_dim, attention_dim, bias=False)
        self.energy = nn.Linear(attention_dim, 1, bias=False)
        self.location = nn.Conv1d(2, n_filters, kernel_size, padding=kernel_size // 2, bias=False)
        self.location_projection = nn.Linear(n_filters, attention_dim, bias=False)
        tanh_gain = nn.init.calculate_gain("tanh")
        for layer in (self.query, self.memory, self.location_projection):
            nn.init.xavier_uniform_(layer.weight, gain=tanh_gain)
        nn.init.xavier_uniform_(self.energy.weight)
        nn.init.xavier_uniform_(self.location.weight)

    def location_kernel(self) -> Tensor:
        """(A, 2, K): the location convolution and its projection as one convolution, which is the same linear map."""
        return torch.einsum("af,fck->ack", self.location_projection.weight, self.location.weight)

    def forward(
        self, hidden: Tensor, processed: Tensor, bias: Tensor, weights: Tensor, cumulative: Tensor, kernel: Tensor
    ) -> Tensor:
        """Attention weights (B, S) of one step.

        Args:
            hidden: (B, query_dim).
            processed: (B, S, A) `self.memory` of the memory.
            bias: (B, S) added to the energies: 0, or -inf where the attention may not look.
            weights, cumulative: (B, S) of the last step, and the sum over all steps so far.
            kernel: `location_kernel()`, computed once for many steps.
        """
        seen = torch.stack((weights, cumulative), dim=1)
        location = functional.conv1d(seen, kernel, padding=kernel.shape[2] // 2).transpose(1, 2)
        energies = self.energy(torch.tanh(self.query(hidden)[:, None] + processed + location))[:, :, 0]
        return torch.softmax(energies + bias, dim=1)


def window_bias(weights: Tensor, back: int, ahead: int) -> Tensor:
    """(B, S) additive mask that lets attention move only near its last peak.

    0 from `back` symbols before to `ahead` symbols after the peak of the last step's `weights` (B, S), else -inf.
    Before the first step all weights are 0 and the peak counts as the first symbol.
    """
    positions = torch.arange(weights.shape[1], device=weights.device)
    offset = positions - weights.argmax(dim=1, keepdim=True)
    outside = (offset < -back) | (offset > ahead)
    return torch.zeros_like(weights).masked_fill(outside, -torch.inf)
