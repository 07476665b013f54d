"""Work in forked children that die, and scripts that do so in a process of their own.

How often they are killed may be told: `KILLS=200 make test ARGS=tests/chat/test_crashes.py`.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
KILLS = int(os.environ.get("KILLS", "12"))


def script(module: str, *arguments: object) -> dict[str, Any]:
    """The JSON summary that a module of the tests prints, run where it may fork."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=7200, check=False, cwd=ROOT, env=environment
    )
    assert done.returncode == 0, done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def child(work: Callable[[], None]) -> int:
    """The number of a process that does the work."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        finally:  # a child never goes on into the loop of its parent
            traceback.print_exc()
            os._exit(1)
    return pid


def ended(pid: int) -> int:
    """The exit code of a child; negative where a signal ended it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def undisturbed(work: Callable[[], None]) -> float:
    """The seconds that the work takes when nobody kills it."""
    start = time.monotonic()
    assert ended(child(work)) == 0
    return time.monotonic() - start


def killed(work: Callable[[], None], after: float) -> bool:
    """Whether a child was killed at its work after so many seconds; False where it was done before."""
    pid = child(work)
    time.sleep(after)
    os.kill(pid, signal.SIGKILL)
    code = ended(pid)
    assert code in (0, -signal.SIGKILL), code
    return code != 0


class Moments:
    """Random moments of work at which it is killed, on a machine that does not always work as fast.

    Args:
        seed: of the random numbers.
        seconds: that the work took undisturbed.
        least: the part of it before which it is not killed.
    """

    def __init__(self, seed: int, seconds: float, least: float = 0.0) -> None:
        self._random, self.seconds, self._least = random.Random(seed), seconds, least

    def kill(self, work: Callable[[], None]) -> bool:
        """Whether a child was killed at its work; where it was done before, it takes less time by now."""
        after = self._random.uniform(self._least, 1) * self.seconds
        if not killed(work, after):
            self.seconds = after
            return False
        return True

    def later(self) -> None:
        """It was killed before it had done anything that could be seen: it takes more time by now."""
        self.seconds *= 1.25
