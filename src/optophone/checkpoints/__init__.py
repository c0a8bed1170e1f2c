"""Public checkpoints of the reference implementations in, ours out."""

from optophone.checkpoints.reference import LOADERS, load_reference

__all__ = ["LOADERS", "load_reference"]
