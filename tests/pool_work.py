"""Work for pools of processes, which must find it by import."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

from optophone.core.errors import ConfigurationError, DataError


class Doubling:
    """Doubles numbers; refuses 3, stumbles over 4, dies once over 5 and always over 6."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __call__(self) -> Callable[[int], int]:
        return self.double

    def double(self, number: int) -> int:
        if number == 3:
            raise DataError("three\nis refused")
        if number == 4:
            raise ZeroDivisionError("four")
        marker = Path(self.folder) / "died"
        if number == 6 or (number == 5 and not marker.exists()):
            marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number


class Refusing:
    def __call__(self) -> Callable[[int], int]:
        raise ConfigurationError("cannot begin")
