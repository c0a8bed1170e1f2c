"""A recogniser's bundle whose letters are tones: letter i of the alphabet is loud in band 2 + i."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from optophone.core.bundle import BundleWriter
from optophone.core.mel import MelSpec, band_centres
from optophone.core.vocabulary import build_letters
from optophone.data.manifest import write_dataset, write_manifest
from optophone.runtime.onnx_recognizer import LOG_PROBS, MEL, RECOGNIZER_GRAPH

SPEC = MelSpec(sample_rate=16000, n_fft=1024, win_length=1024, hop_length=160, n_mels=40, f_max=8000.0)
LETTERS = build_letters()
FIRST_BAND = 8  # lower ones are too narrow for the window


def write_recognizer(folder: Path, name: str = "ear", **metrics: float) -> Path:
    """A bundle that hears `sing`: the blank wins unless a band of a letter is loud."""
    n_letters = len(LETTERS)
    weights = np.zeros((n_letters, SPEC.n_mels), np.float32)
    weights[np.arange(1, n_letters), FIRST_BAND + np.arange(1, n_letters)] = 4.0
    bias = np.full((n_letters, 1), 0.0, np.float32)
    bias[0] = -12.0  # a letter must be louder than e^-3
    constants = {"weights": weights, "bias": bias}
    nodes = [
        helper.make_node("MatMul", ["weights", MEL], ["sounding"]),
        helper.make_node("Add", ["sounding", "bias"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], [LOG_PROBS], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "recognizer",
        [helper.make_tensor_value_info(MEL, TensorProto.FLOAT, [1, SPEC.n_mels, "frames"])],
        [helper.make_tensor_value_info(LOG_PROBS, TensorProto.FLOAT, [1, n_letters, "frames"])],
        [numpy_helper.from_array(value, key) for key, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with BundleWriter(
        folder, kind="recognizer", cls="ctc", name=name, vocabulary=LETTERS, mel=SPEC, metrics=metrics
    ) as writer:
        onnx.save(model, writer.path(RECOGNIZER_GRAPH))
    return folder


def sing(text: str, sample_rate: int = 16000) -> np.ndarray:
    """(N,) tones of the letters of `text`, 0.15 s each, with silence between."""
    centres, pieces = band_centres(SPEC), [np.zeros(sample_rate // 10)]
    time = np.arange(round(0.15 * sample_rate)) / sample_rate
    for letter in LETTERS.encode(text):
        pieces += [np.hanning(len(time)) * np.sin(2 * np.pi * centres[FIRST_BAND + letter] * time), pieces[0]]
    return 0.5 * np.concatenate(pieces).astype(np.float32)


def write_songs(folder: Path, name: str, texts: Sequence[str], sample_rate: int = 22050) -> Path:
    """A data set whose dev split sings `texts`."""
    folder.mkdir(parents=True)
    rows, offset, waves = [], 0, [np.round(sing(text, sample_rate) * 32767).astype(np.int16) for text in texts]
    np.save(folder / "dev.waves.npy", np.concatenate(waves))
    for i, (text, wave) in enumerate(zip(texts, waves, strict=True)):
        place = {"audio": "dev.waves.npy", "offset": offset, "n_samples": len(wave), "sample_rate": sample_rate}
        rows.append({"id": f"dev{i}", "text": text, "duration_s": len(wave) / sample_rate, **place})
        offset += len(wave)
    write_manifest(folder / "dev.jsonl", rows)
    here = "made here"
    write_dataset(folder, name, splits=["dev"], options={}, source=here, layout=here, licence="none")
    return folder
