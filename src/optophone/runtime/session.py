"""ONNX Runtime sessions as this project wants them: little memory, few threads, plain errors."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort

from optophone.core.errors import BundleError, ConfigurationError
from optophone.runtime.byte_sums import sums_overflow

MAX_DEFAULT_THREADS = 4
_LARGE_STEP = 32 * 1024 * 1024  # bytes of a graph


@dataclass(frozen=True)
class SessionConfig:
    """How a graph is run.

    Args:
        threads: threads inside one operator. A graph that is called hundreds of times per second with one row each
            (the decoders) is fastest with one: handing out the work costs more than the work.
        arena: keep freed memory for the next call. Off by default: the arena rounds every request up and keeps the
            largest picture's buffers for good, tens of megabytes for a time gain within the noise.
        spin: let idle threads wait in a busy loop. Off by default: it burns the core that another process needs.
    """

    threads: int = 1
    arena: bool = False
    spin: bool = False


def default_threads() -> int:
    """The cores this process may use, at most `MAX_DEFAULT_THREADS`."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MAX_DEFAULT_THREADS, usable))


def resolve_threads(threads: int | None) -> int:
    """`threads`, or the default for None.

    Raises:
        ConfigurationError: fewer than one.
    """
    if threads is None:
        return default_threads()
    if threads < 1:
        raise ConfigurationError(f"threads: {threads} is too few; give 1 or more.")
    return threads


def step_threads(n_bytes: int, threads: int) -> int:
    """How many of `threads` a step graph of this size gains from.

    A small step is done before its work is handed out; one that reads tens of megabytes of weights waits for memory,
    and two cores fetch faster than one.
    """
    return threads if n_bytes >= _LARGE_STEP else 1


def session_options(config: SessionConfig) -> ort.SessionOptions:
    """The options of ONNX Runtime for `config`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = config.threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = config.arena
    options.enable_mem_pattern = config.arena
    options.log_severity_level = 3  # errors only: the library's warnings are about graphs, not about the user's photo
    options.add_session_config_entry("session.intra_op.allow_spinning", "1" if config.spin else "0")
    # Make signed weights of eight bits unsigned as the graph is loaded: right, but several times as slow elsewhere.
    options.add_session_config_entry("session.x64quantprecision", "1" if sums_overflow() else "0")
    return options


class Graph:
    """One ONNX file, ready to run.

    Args:
        path: the file.
        config: threads and memory.

    Raises:
        BundleError: the file is no graph that this ONNX Runtime can run.
    """

    def __init__(self, path: Path, config: SessionConfig) -> None:
        try:
            self.session = ort.InferenceSession(
                os.fspath(path), session_options(config), providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # the library raises a dozen private types, all of them about the file
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"{path}: ONNX Runtime cannot load this graph ({reason}); export it again.") from None
        self.path = path
        self.inputs = {value.name: value for value in self.session.get_inputs()}
        self.outputs = [value.name for value in self.session.get_outputs()]

    def run(self, feeds: dict[str, np.ndarray], outputs: Sequence[str] | None = None) -> list[np.ndarray]:
        """The values of `outputs`; of all that there are, in their order, for None.

        Raises:
            BundleError: the graph does not compute what it declares.
        """
        try:
            return self.session.run(outputs, feeds)
        except Exception as error:  # private types of the library, all about the graph and what it is fed
            reason = " ".join(str(error).split())[:200]
            raise BundleError(f"{self.path}: the graph cannot be run ({reason}); export it again.") from error

    def require(self, inputs: Sequence[str] = (), outputs: Sequence[str] = ()) -> None:
        """Check that the graph has these inputs and outputs.

        Raises:
            BundleError: one is missing.
        """
        for name in inputs:
            if name not in self.inputs:
                raise BundleError(f"{self.path}: the graph has no input {name!r}; export the bundle again.")
        for name in outputs:
            if name not in self.outputs:
                raise BundleError(f"{self.path}: the graph has no output {name!r}; export the bundle again.")


def numbered(names: Sequence[str], prefix: str) -> list[str]:
    """The names `prefix.0`, `prefix.1`, … among `names`, in the order of their numbers."""
    chosen = [name for name in names if name.startswith(f"{prefix}.") and name.rsplit(".", 1)[1].isdigit()]
    return sorted(chosen, key=lambda name: int(name.rsplit(".", 1)[1]))
