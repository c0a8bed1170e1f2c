"""Bfloat16 where the machine computes in it, float32 where it would only pretend to.

A processor without such instructions converts every number there and back, which makes products many times slower than
in float32: `benchmarks/half_precision.py` tells by how much.
"""

from typing import Literal

import torch

Precision = Literal["32-true", "bf16-mixed"]


def has_bfloat16(accelerator: str = "cpu") -> bool:
    """Whether Lightning's `accelerator` computes products in bfloat16; all that are not processors are taken to."""
    if accelerator != "cpu" and not (accelerator == "auto" and not torch.accelerator.is_available()):
        return True
    tell = getattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", None)
    return tell is not None and bool(tell())


def precision_here(wanted: Precision, accelerator: str) -> Precision:
    """The precision of a run that wants `wanted`: "32-true" in place of "bf16-mixed" where there is no bfloat16."""
    return "32-true" if wanted == "bf16-mixed" and not has_bfloat16(accelerator) else wanted


def processor_autocast() -> torch.autocast:
    """A context in which the processor computes products in bfloat16, if it can."""
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())
