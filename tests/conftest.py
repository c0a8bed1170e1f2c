"""What every test shares: one seed, one torch thread, and the way to the data sets beside the project."""

import os
import signal
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(autouse=True, scope="session")
def _interruptible() -> None:
    """A shell that starts the tests in the background has them and their children ignore Ctrl-C, which some press."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Several threads beside other processes make tiny models slower, and sums differ with the split."""
    try:
        import torch
    except ImportError:  # the runtime's tests run without torch
        return
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def shared_dir() -> Path:
    """The folder with the real data sets, from OPTOPHONE_SHARED (`make test-data` sets it); the test skips without."""
    folder = Path(os.environ.get("OPTOPHONE_SHARED", ""))
    if not os.environ.get("OPTOPHONE_SHARED") or not (folder / "data").is_dir():
        pytest.skip("needs the real data sets; run: make test-data SHARED=FOLDER")
    return folder.resolve()


@pytest.fixture(scope="session")
def parity_fixtures() -> Path:
    """The folder with the numerical references of the original implementations."""
    return Path(os.environ.get("OPTOPHONE_PARITY_FIXTURES", ROOT / "tests/parity/fixtures"))
