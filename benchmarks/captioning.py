"""How much faster the full-size X-LAN describes and learns than a plain eager reading of the original.

    python benchmarks/captioning.py --threads 2 -o docs/results/captioning-speed.json
    python benchmarks/captioning.py --repeats 3 --no-runtime --no-training

Both sides have the same random weights of the published size (75 M, 9,488 symbols) and see the same 50 regions of
2,048 features a picture; `plain_xlan.py` says what plain means, and it is measured both keeping the keys of the regions
while it decodes, as the original does, and making them anew at every step. Search is the original's, 17 steps. Before
anything is timed, both must find the same symbols with the same scores, and the same loss and gradients.

Sides take turns. Figures are medians after a warm-up: seconds on the clock, and processor seconds over the threads,
which suffer less from a busy machine. The foreign load is the processor time that other processes took meanwhile, in
cores; figures taken beside a foreign load above .1 say little.
"""

import argparse
import copy
import statistics
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from main_job import machine
from plain_xlan import END, PlainXLan
from torch import Tensor, nn
from turns import Side, options_of, place, run, take_turns

from optophone.checkpoints.xlan import XLAN_SEARCH, xlan_state_dict
from optophone.core.bundle import open_bundle
from optophone.core.regions import RegionSpec
from optophone.core.search import SearchConfig
from optophone.core.vocabulary import Vocabulary
from optophone.export.captioner import TrainedCaptioner, export_captioner
from optophone.export.import_facts import ImportFacts
from optophone.export.training_facts import ExportError, Precision
from optophone.models.captioners.xlan import XLan, XLanConfig
from optophone.runtime.onnx_captioner import OnnxCaptioner
from optophone.training.caption_loss import caption_cross_entropy
from optophone.training.describing import describe
from optophone.training.optimization import OptimizerConfig, build_optimizer

N_SYMBOLS, N_REGIONS, REGION_DIM, N_STEPS = 9488, 50, 2048, 17
CAPTIONS_PER_PICTURE = 5
GRADIENT_NORM = 0.5
LEARNING_RATE = 3e-4
IGNORED = -1
PLAIN, RECOMPUTED = "plain", "plain, keys anew"
OURS, OURS_BF16 = "ours", "ours, bfloat16"
RUNTIME: dict[Precision, str] = {"fp32": "ONNX Runtime", "int8": "ONNX Runtime, int8"}
TOLERANCE = 1e-4

Captions = list[tuple[tuple[int, ...], float]]


# ---------------------------------------------------------------------------------------------------------------------
# Models and what they see


def random_xlan() -> XLan:
    """A captioner of the published size, ready to describe, whose scores differ among symbols as a trained one's do."""
    torch.manual_seed(0)
    model = XLan(XLanConfig(N_SYMBOLS, REGION_DIM))
    with torch.no_grad():
        model.output.weight *= 8
    model.eval().tabulate_symbols()
    return model


def plain_of(model: XLan, recompute_keys: bool = False) -> PlainXLan:
    """The plain reading with the same weights."""
    plain = PlainXLan(model.config, recompute_keys)
    plain.load_state_dict(xlan_state_dict(model))
    return plain.eval()


def symbols() -> Vocabulary:
    """Words without meaning; the first is start, end and padding, as the original has it."""
    return Vocabulary("words", ("<end>", *(f"word{i}" for i in range(1, N_SYMBOLS))), pad=0, start=END, end=END)


def pictures(n: int) -> Tensor:
    """Features (n, 50, 2048) as detectors give them: none below 0."""
    return torch.randn(n, N_REGIONS, REGION_DIM, generator=torch.Generator().manual_seed(n)).relu()


# ---------------------------------------------------------------------------------------------------------------------
# Describing


def export(model: XLan, folder: Path, precision: Precision) -> OnnxCaptioner | str:
    """The captioner as users run it, or why there is none."""
    facts = ImportFacts("benchmark", "xlan", "", "")
    trained = TrainedCaptioner(model, "x-lan", symbols(), None, XLAN_SEARCH, facts, RegionSpec(REGION_DIM))
    try:
        export_captioner(trained, folder, precision, [], list(pictures(2).numpy()))
    except ExportError as error:
        return str(error)
    return OnnxCaptioner(open_bundle(folder / precision), threads=torch.get_num_threads())


def describing_sides(
    model: XLan, runtime: Mapping[str, OnnxCaptioner], n_pictures: int, beam_size: int
) -> dict[str, Side]:
    """By name: what finds the captions of the pictures, all beams of each."""
    regions = pictures(n_pictures)
    mask = torch.ones(regions.shape[:2])
    config = replace(XLAN_SEARCH, beam_size=beam_size, n_results=beam_size, max_length=N_STEPS)
    vocabulary = symbols()

    def plainly(plain: PlainXLan) -> Side:
        return lambda: plain.search(regions, mask, beam_size, N_STEPS)

    def by_runtime(captioner: OnnxCaptioner, search: SearchConfig) -> Side:
        arrays = list(regions.numpy())
        return lambda: captioner.captions(arrays, search)

    sides: dict[str, Side] = {
        RECOMPUTED: plainly(plain_of(model, recompute_keys=True)),
        PLAIN: plainly(plain_of(model)),
        OURS: lambda: describe(model, regions, vocabulary, config, mask > 0),
    }
    return sides | {name: by_runtime(captioner, config) for name, captioner in runtime.items()}


def captions_of(found: Any) -> Captions:
    """Symbols and scores of all beams, whichever side found them."""
    if isinstance(found, tuple):
        ids, sums = (x.flatten(0, 1).tolist() for x in found[:2])
        cut = [row[: row.index(END)] if END in row else row for row in ids]
        return [(tuple(row), score) for row, score in zip(cut, sums, strict=True)]
    return [(tuple(one.ids), one.log_prob) for beams in found for one in beams]


def compare_captions(found: Captions, expected: Captions) -> dict[str, Any]:
    """How many are the same, and the largest difference between the scores of those."""
    same = [(a[1], b[1]) for a, b in zip(found, expected, strict=True) if a[0] == b[0]]
    return {
        "same_captions": round(len(same) / len(expected), 3),
        "largest_score_difference": max((abs(a - b) for a, b in same), default=None),
    }


def measure_describing(model: XLan, runtime: Mapping[str, OnnxCaptioner], repeats: int) -> list[dict[str, Any]]:
    """Every beam size and number of pictures."""
    rows = []
    for n_pictures in (1, 10):
        for beam_size in (3, 5):
            sides = describing_sides(model, runtime, n_pictures, beam_size)
            captions = {name: captions_of(side()) for name, side in sides.items()}  # the warm-up
            agreement = {name: compare_captions(found, captions[PLAIN]) for name, found in captions.items()}
            if not exact_sides_agree(agreement):
                raise SystemExit(f"the sides differ: {agreement}")
            figures = figures_of(sides, repeats)
            for name, figure in figures.items():
                figure |= agreement[name] | ratios(figure, figures)
            row = {"pictures": n_pictures, "beam_size": beam_size, "steps": N_STEPS, "sides": figures}
            print_row(f"beam {beam_size}, {n_pictures} picture{'s' * (n_pictures > 1)}", figures)
            rows.append(row)
    return rows


def exact_sides_agree(agreement: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether all sides with the same weights found the same captions with the same scores."""
    exact = [found for name, found in agreement.items() if name != RUNTIME["int8"]]
    return all(found["same_captions"] == 1 and found["largest_score_difference"] <= TOLERANCE for found in exact)


# ---------------------------------------------------------------------------------------------------------------------
# Learning


class Lesson:
    """Ten pictures with five captions each, of which every symbol counts."""

    def __init__(self, n_pictures: int = 10) -> None:
        self.regions = pictures(n_pictures)
        self.mask = torch.ones(self.regions.shape[:2])
        generator = torch.Generator().manual_seed(2)
        words = torch.randint(1, N_SYMBOLS, (n_pictures * CAPTIONS_PER_PICTURE, N_STEPS - 1), generator=generator)
        ends = torch.full((len(words), 1), END)
        self.inputs, self.targets = torch.cat([ends, words], 1), torch.cat([words, ends], 1)

    def plain_loss(self, model: nn.Module) -> Tensor:
        """As the original computes it."""
        logits = model(self.regions, self.mask, self.inputs)
        return nn.functional.cross_entropy(logits.flatten(0, 1), self.targets.flatten(), ignore_index=IGNORED)

    def our_loss(self, model: nn.Module) -> Tensor:
        """As our training computes it."""
        output = model(self.regions, self.mask > 0, self.inputs, CAPTIONS_PER_PICTURE)
        return caption_cross_entropy(output.logits, self.targets, IGNORED)


def differences_in_learning(lesson: Lesson, model: XLan, plain: PlainXLan) -> tuple[float, float]:
    """Of the losses, and of all gradients together relative to their norm; without dropout.

    Tensor by tensor it can be tens of times more: behind a ReLU a value may fall on this side of 0 or on that.
    """
    ours, theirs = lesson.our_loss(model), lesson.plain_loss(plain)
    ours.backward()
    theirs.backward()
    as_weights = copy.deepcopy(model)  # the names and layout of gradients are those of weights
    for parameter, trained in zip(as_weights.parameters(), model.parameters(), strict=True):
        assert trained.grad is not None
        parameter.data = trained.grad
    found = xlan_state_dict(as_weights)
    difference = norm = 0.0
    for name, parameter in plain.named_parameters():
        assert parameter.grad is not None
        # The softmax does not see the score's bias; of the two biases of the LSTM, ours has the sum.
        if not name.endswith(("attention_last.bias", "bias_hh")):
            difference += float((found[name] - parameter.grad).square().sum())
            norm += float(parameter.grad.square().sum())
    for trained in (model, plain):
        trained.zero_grad()
    return abs(float(ours.detach() - theirs.detach())), (difference / norm) ** 0.5


def learning_side(model: nn.Module, loss: Callable[[nn.Module], Tensor], optimizer: torch.optim.Optimizer) -> Side:
    """A training step: forward, backward, clipping, optimizer."""

    def step() -> float:
        value = loss(model)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        return float(value.detach())

    return step


def measure_learning(model: XLan, repeats: int) -> dict[str, Any]:
    """The cross-entropy training step, with dropout."""
    lesson = Lesson()
    plain, ours = plain_of(model), copy.deepcopy(model)
    loss_difference, gradient_difference = differences_in_learning(lesson, ours, plain)
    if loss_difference > TOLERANCE or gradient_difference > 1e-3:
        raise SystemExit(f"losses differ by {loss_difference}, gradients by {gradient_difference}")
    plain.train()
    ours.train()
    options = OptimizerConfig("adam", LEARNING_RATE, betas=(0.9, 0.98), epsilon=1e-9)
    theirs = torch.optim.Adam(
        [{"params": [parameter]} for parameter in plain.parameters()], LEARNING_RATE, betas=(0.9, 0.98), eps=1e-9
    )
    optimizer = build_optimizer(ours.named_parameters(), options)

    def in_bfloat16(model: nn.Module) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16):
            return lesson.our_loss(model)

    sides = {
        PLAIN: learning_side(plain, lesson.plain_loss, theirs),
        OURS: learning_side(ours, lesson.our_loss, optimizer),
        OURS_BF16: learning_side(ours, in_bfloat16, optimizer),
    }
    for side in sides.values():  # the warm-up
        side()
    figures = figures_of(sides, repeats)
    for figure in figures.values():
        figure |= ratios(figure, figures)
    print_row(f"training step, {len(lesson.regions)} pictures × {CAPTIONS_PER_PICTURE}", figures)
    return {
        "pictures": len(lesson.regions),
        "captions_per_picture": CAPTIONS_PER_PICTURE,
        "steps": N_STEPS,
        "loss_difference": loss_difference,
        "relative_gradient_difference": gradient_difference,
        "sides": figures,
    }


# ---------------------------------------------------------------------------------------------------------------------
# Measuring and printing


def figures_of(sides: Mapping[str, Side], repeats: int) -> dict[str, dict[str, Any]]:
    """By name the medians of sides in turns, in milliseconds, and the foreign load in cores."""
    figures = {}
    for name, rows in take_turns(sides, repeats).items():
        seconds, processor, foreign = zip(*rows, strict=True)
        figures[name] = {
            "median_ms": round(1e3 * statistics.median(seconds), 1),
            "min_ms": round(1e3 * min(seconds), 1),
            "processor_ms": round(1e3 * statistics.median(processor), 1),
            "foreign_cores": round(statistics.median(foreign), 2),
        }
    return figures


def ratios(figure: Mapping[str, Any], figures: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
    """How many times faster than the plain sides, on the clock."""
    against = {PLAIN: "times_faster", RECOMPUTED: "times_faster_than_keys_anew"}
    return {
        key: round(figures[name]["median_ms"] / figure["median_ms"], 2)
        for name, key in against.items()
        if name in figures
    }


def print_row(what: str, figures: Mapping[str, Mapping[str, Any]]) -> None:
    """One case as a small table."""
    print(f"\n{what:32}{'median':>10}{'least':>10}{'processor':>11}{'faster':>8}{'than anew':>11}{'foreign':>9}")
    for name, row in figures.items():
        anew = row.get("times_faster_than_keys_anew")
        same = row.get("same_captions", 1)
        print(
            f"  {name:30}{row['median_ms']:>7.0f} ms{row['min_ms']:>7.0f} ms{row['processor_ms']:>8.0f} ms"
            f"{row['times_faster']:>7.2f}×{f'{anew:.2f}×' if anew else '':>11}{row['foreign_cores']:>9.2f}"
            + (f"  {same:.0%} of the captions the same" if same < 1 else "")
        )
    sys.stdout.flush()


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All that is asked for."""
    model = random_xlan()
    result: dict[str, Any] = {
        "machine": machine(options.threads) | {"torch": torch.__version__},
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
        "regions": N_REGIONS,
        "symbols": N_SYMBOLS,
        "repeats": options.repeats,
    }
    with tempfile.TemporaryDirectory() as folder:
        runtime: dict[str, OnnxCaptioner] = {}
        for precision, name in () if options.no_runtime else RUNTIME.items():
            found = export(model, Path(folder) / name, precision)
            if isinstance(found, str):
                result[f"no {name}"] = found
            else:
                runtime[name] = found
        if not options.no_describing:
            result["describing"] = measure_describing(model, runtime, options.repeats)
    if not options.no_training:
        result["training"] = measure_learning(model, options.repeats)
    return result


def main() -> None:
    """Measure, print, write JSON where asked to."""
    parser = options_of(__doc__, repeats=9)
    parser.add_argument("--no-describing", action="store_true")
    parser.add_argument("--no-runtime", action="store_true", help="leave out the exported graphs")
    parser.add_argument("--no-training", action="store_true")
    result = run(parser, measure)
    print(f"\n{place(result)}, PyTorch {result['machine']['torch']}")


if __name__ == "__main__":
    main()
