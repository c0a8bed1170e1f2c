"""What bfloat16 is worth on this processor: a product of matrices and a convolution, against float32 in the same run.

    python benchmarks/half_precision.py

Prints for each the median time of seven runs after two that warm up, one thread, and the ratio. Above 1: bfloat16 is
faster. Trainings with `trainer.precision: bf16-mixed` use it where the processor has instructions for it.
"""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from optophone.training.half_precision import has_bfloat16

N_RUNS = 7


def median_ms(work: Callable[[], Tensor]) -> float:
    """Median milliseconds of `work`."""
    times = []
    for i in range(2 + N_RUNS):
        start = time.perf_counter()
        work()
        if i >= 2:
            times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times)


@torch.no_grad()
def main() -> None:
    """Measure and print."""
    torch.set_num_threads(1)
    rows, matrix = torch.randn(2000, 256), torch.randn(256, 1024)
    pictures = torch.randn(10, 96, 40, 40).contiguous(memory_format=torch.channels_last)
    convolve = nn.Conv2d(96, 96, 3, padding=1).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    half_rows, half_matrix, half_pictures = rows.bfloat16(), matrix.bfloat16(), pictures.bfloat16()
    product = median_ms(lambda: rows @ matrix), median_ms(lambda: half_rows @ half_matrix)
    exact = median_ms(lambda: convolve(pictures))
    convolve.bfloat16()
    convolution = exact, median_ms(lambda: convolve(half_pictures))
    print(f"{torch.backends.cpu.get_cpu_capability()}; trainings use bfloat16: {'yes' if has_bfloat16() else 'no'}")
    for name, (full, half) in (("product of matrices", product), ("convolution", convolution)):
        print(f"{name}: float32 {full:.2f} ms, bfloat16 {half:.2f} ms, ratio {full / half:.2f}")


if __name__ == "__main__":
    main()
