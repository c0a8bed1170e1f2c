"""Whether this processor multiplies matrices of bytes without overflow."""

import functools

import numpy as np
import onnxruntime as ort

# y = MatMulInteger(x, w), unsigned by signed bytes, both of any size; opset 17.
_PRODUCT = (
    b"\x08\x08:P\n\x18\n\x01x\n\x01w\x12\x01y\x22\x0dMatMulInteger\x12\x01gZ\x0f\n\x01x\x12\n\n\x08\x08\x02\x12\x04"
    b"\n\x00\n\x00Z\x0f\n\x01w\x12\n\n\x08\x08\x03\x12\x04\n\x00\n\x00b\x0f\n\x01y\x12\n\n\x08\x08\x06\x12\x04\n\x00\n\x00"
    b"B\x04\n\x00\x10\x11"
)
_LENGTH = 64


@functools.cache
def sums_overflow() -> bool:
    """Whether sums of products of unsigned by signed bytes are cut off at sixteen bits.

    x86 processors without the VNNI instructions do that. Tried out, because only Linux lists the instructions.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(_PRODUCT, options, providers=["CPUExecutionProvider"])
    x, w = np.full((2, _LENGTH), 255, np.uint8), np.full((_LENGTH, 16), 127, np.int8)
    sums = session.run(None, {"x": x, "w": w})[0]
    return bool((sums != _LENGTH * 255 * 127).any())
