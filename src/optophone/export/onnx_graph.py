"""A PyTorch module as an ONNX file."""

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import onnx
import torch
from torch import Tensor, nn

OPSET = 17


def export_graph(
    module: nn.Module,
    path: Path,
    inputs: Mapping[str, Tensor],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]],
) -> None:
    """Write `module`, in evaluation mode, as an ONNX file; batch norms are folded into the convolutions before them.

    Args:
        module: takes the `inputs` in their order, returns a flat tuple of tensors (or one tensor).
        path: the file to write.
        inputs: name to an example; each becomes an input of the graph.
        outputs: names of what the module returns, in its order.
        axes: for inputs and outputs, the axes that may have any size, with a name for each size.
    """
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # about the exporter's own future and about constants it has traced
        torch.onnx.export(
            module.eval(),
            tuple(inputs.values()),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes={name: dict(sizes) for name, sizes in axes.items()},
            opset_version=OPSET,
            dynamo=False,
        )
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    clear_traces(model)
    onnx.save(model, path)


def clear_traces(model: onnx.ModelProto) -> None:
    """Remove what the exporter notes for its own developers: folders of the machine, names of Python scopes."""
    model.doc_string = ""
    model.producer_name, model.producer_version = "optophone", ""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    del model.metadata_props[:]


def open_axes(
    names: Sequence[str], smaller: Sequence[Tensor], larger: Sequence[Tensor], what: str
) -> dict[str, dict[int, str]]:
    """For each name, the axes along which its two tensors differ in size, with a name for that size."""
    found = {}
    for name, before, after in zip(names, smaller, larger, strict=True):
        axes = [axis for axis in range(before.ndim) if before.shape[axis] != after.shape[axis]]
        found[name] = dict.fromkeys(axes, f"{name}.{what}")
    return found
