"""Checkpoint files of strangers: tensors and plain values are read, Python objects are refused.

A pickled module can run any code when it is loaded. So only what PyTorch's restricted unpickler builds is taken, and a
file that holds more is refused with the command that makes a plain one of it.
"""

import importlib
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from optophone.core.errors import BundleError

MAX_BYTES = 8 * 2**30  # of a checkpoint; WaveGlow-512 with its optimizer has 3.2 GB
_MAX_PICKLE_BYTES = 64 * 2**20  # of names and sizes inside an archive
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "weights")
_ZIP = b"PK\x03\x04"
_PLAIN_NAME = re.compile(r"[\w./ +=@,-]+")
# How to get plain tensors out of what each original's `torch.save` wrote, as an expression of the loaded `c`.
WAYS_OUT = {
    "sat": "{k: c[k].state_dict() for k in ('encoder', 'decoder')}",
    "waveglow": "c['model'].state_dict()",
}
_WAY_OUT = "getattr(c['model'] if isinstance(c, dict) and 'model' in c else c, 'state_dict', lambda: c)()"
# Modules that no checkpoint has a reason to call.
_HOSTILE = {
    *("builtins", "codecs", "ctypes", "importlib", "io", "nt", "os", "pickle", "posix", "pty", "runpy", "shutil"),
    *("socket", "subprocess", "sys", "webbrowser"),
}
# NumPy moved these between its versions; files name the old places.
_NUMPY = (
    ("numpy._core.multiarray", "_reconstruct", ("numpy.core.multiarray", "numpy._core.multiarray")),
    ("numpy._core.multiarray", "scalar", ("numpy.core.multiarray", "numpy._core.multiarray")),
    ("numpy", "ndarray", ("numpy",)),
    ("numpy", "dtype", ("numpy",)),
    ("_codecs", "encode", ("_codecs",)),
)


def read_checkpoint(path: str | Path, reference: str = "") -> Mapping[str, Any]:
    """What a `.pth`, `.pt`, `.ckpt`, `.pth.tar` or `.safetensors` file holds, on the CPU.

    Args:
        path: the file.
        reference: whose checkpoint it is, for the command in the message that refuses Python objects.

    Returns:
        nested mappings of tensors, arrays and plain values; see `state_dict_of`.

    Raises:
        BundleError: missing, too large, damaged, no checkpoint, or one that holds Python objects.
    """
    path = Path(path)
    try:
        n_bytes = path.stat().st_size
        with open(path, "rb") as file:
            beginning = file.read(16)
    except OSError as error:
        raise BundleError(f"{path}: the checkpoint cannot be read ({error.strerror}).") from None
    if n_bytes > MAX_BYTES:
        raise BundleError(f"{path}: larger than {MAX_BYTES >> 30} GiB, too large for a checkpoint.")
    if path.suffix == ".safetensors":
        content: Any = _read_safetensors(path)
    else:
        content = _read_pickle(path, beginning.startswith(_ZIP), reference)
    if not isinstance(content, Mapping):
        raise BundleError(f"{path}: holds a {type(content).__name__}, no state dictionary.")
    return content


def state_dict_of(content: Mapping[str, Any], path: str | Path, part: str = "") -> dict[str, Tensor]:
    """The state dictionary in what `read_checkpoint` returned, taken out of the usual wrappers.

    Args:
        content: nested mappings.
        path: the file, for messages and for the size that the tensors may have.
        part: key of the state dictionary where a file may hold several.

    Raises:
        BundleError: there is none, or something in it is no tensor that weights can be.
    """
    found = content
    for _ in range(4):
        inner = next((key for key in (part, *_WRAPPERS) if isinstance(found.get(key), Mapping)), None)
        if inner is None:
            break
        found = found[inner]
    tensors = {str(name): _as_tensor(value) for name, value in found.items()}
    if not tensors or not any(tensor is not None for tensor in tensors.values()):
        keys = ", ".join(list(tensors)[:8]) or "nothing"
        raise BundleError(f"{path}: no state dictionary found in it (it has: {keys}).")
    for name, tensor in tensors.items():
        if tensor is None:
            raise BundleError(f"{path}: {name} is no tensor that weights can be ({type(found[name]).__name__}).")
    checked = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    # Views may claim any size over a few bytes of storage.
    if sum(tensor.numel() * tensor.element_size() for tensor in checked.values()) > 4 * Path(path).stat().st_size:
        raise BundleError(f"{path}: its tensors claim more than the file holds.")
    for name, tensor in checked.items():
        if not tensor.isfinite().all():
            raise BundleError(f"{path}: {name} holds values that are not finite; the file is damaged.")
    return checked


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise BundleError(f"{path}: not a safetensors file ({_one_line(error)}).") from None


def _read_pickle(path: Path, is_archive: bool, reference: str) -> Any:
    if is_archive:
        _check_archive(path, reference)
    try:
        with torch.serialization.safe_globals(_numpy_globals()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about pickle's protocol
            # Mapped files are read as they are needed; the format before PyTorch 1.6 cannot be mapped.
            return torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|class '([\w.]+)'", str(error))
        if named is None:
            raise BundleError(f"{path}: {_unreadable()}") from None
        raise BundleError(_refusal(path, reference, named[1] or named[2])) from None
    except Exception:  # a stranger's bytes: the reader raises what it runs into
        raise BundleError(f"{path}: {_unreadable()}") from None


def _unreadable() -> str:
    return "damaged, cut off, or no checkpoint (.pth, .pt, .ckpt, .tar of PyTorch, or .safetensors)."


def _check_archive(path: Path, reference: str) -> None:
    """Refuse archives that grow when they are unpacked, and programs (TorchScript)."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise BundleError(f"{path}: {_unreadable()}") from None
    if any(member.filename.rpartition("/")[2] == "constants.pkl" for member in members):
        raise BundleError(_refusal(path, reference, "TorchScript"))
    pickles = [member for member in members if member.filename.endswith(".pkl")]
    if (
        any(member.compress_type != zipfile.ZIP_STORED for member in members)
        or sum(member.file_size for member in members) > path.stat().st_size
        or any(member.file_size > _MAX_PICKLE_BYTES for member in pickles)
    ):
        raise BundleError(f"{path}: not packed as PyTorch packs checkpoints; save it again with torch.save.")


def _refusal(path: Path, reference: str, what: str) -> str:
    """One line: why it is not loaded, and the command that makes a file which is."""
    if what.partition(".")[0] in _HOSTILE:
        return f"{path}: would call {what} when it is loaded, which no checkpoint needs; nothing was run, delete it."
    plain = (Path(path.name.removesuffix(".tar")).stem if _PLAIN_NAME.fullmatch(path.name) else "plain") + ".weights.pt"
    # The command is made to be copied: a name that a shell would not take as it is stays out of it.
    source = str(path) if _PLAIN_NAME.fullmatch(str(path)) else "FILE"
    load = f"c = torch.load('{source}', map_location='cpu', weights_only=False)"
    if what == "TorchScript":
        load = f"c = torch.jit.load('{source}', map_location='cpu')"
    save = f"torch.save({WAYS_OUT.get(reference, _WAY_OUT)}, '{plain}')"
    return (
        f"{path}: holds Python objects ({what}) beside tensors, and loading these could run any code. If you trust its "
        f"source, make plain weights of it in the folder of the original's code, then import {plain}: python -c \""
        f'import torch; {load}; {save}"'
    )


def _as_tensor(value: Any) -> Tensor | None:
    """A tensor that weights can be, or None."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        return torch.from_numpy(np.array(value))
    if isinstance(value, Tensor) and value.layout is torch.strided and not value.is_quantized and not value.is_meta:
        return value.detach()
    return None


def _numpy_globals() -> list[Any]:
    """What arrays and scalars of NumPy in a checkpoint are made with; none of it runs anything else."""
    found: list[Any] = [type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")]
    for module, name, places in _NUMPY:
        value = getattr(importlib.import_module(module), name)
        found.extend((value, f"{place}.{name}") for place in places)
    return found


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:120]
