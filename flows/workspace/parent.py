"""Runs a program that ends with the one that started it, however that one ends, ``kill -9`` included.

:func:`start_with_parent` puts a supervisor between the two: this very file, run as a program. Its standard
input is a pipe whose other end only the parent holds. The system closes that end when the parent dies.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

STOP_SECONDS = 20
"""How long a stopped training may take to write its checkpoint."""

PR_SET_CHILD_SUBREAPER = 36
"""From <sys/prctl.h>: become the parent of orphans among all that this process has started."""


def start_with_parent(command: Sequence[str], **options: Any) -> "subprocess.Popen[Any]":
    """Start a program in a session of its own. ``options`` are those of :class:`subprocess.Popen`.

    Its status is the program's own, and comes when all that the program has started is over.
    """
    supervisor = [sys.executable, "-IS", __file__]
    return subprocess.Popen([*supervisor, *command], stdin=subprocess.PIPE, start_new_session=True, **options)


def ask_to_stop(process: "subprocess.Popen[Any]") -> None:
    """End a program and its children as the parent's death would: SIGTERM, after STOP_SECONDS SIGKILL."""
    assert process.stdin is not None
    process.stdin.close()


def supervise(command: Sequence[str]) -> int:
    """Run a program until it ends, or until the parent of this process does. Returns its status."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Files that the parent has passed on are for the program.
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, close_fds=False, process_group=0)
    signal.signal(signal.SIGTERM, lambda number, _: _send(program.pid, number))
    threading.Thread(target=_end_after_parent, args=(program.pid,), daemon=True).start()
    status = program.wait()
    with suppress(ChildProcessError):  # there are no more
        while True:
            os.wait()
    return status


def _end_after_parent(group: int) -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    _send(group, signal.SIGTERM)
    time.sleep(STOP_SECONDS)
    _send(group, signal.SIGKILL)
    os._exit(128 + signal.SIGKILL)


def _send(group: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, number)


if __name__ == "__main__":
    status = supervise(sys.argv[1:])
    if status < 0:
        with suppress(OSError):  # SIGKILL has no handler
            signal.signal(-status, signal.SIG_DFL)
        os.kill(os.getpid(), -status)
    sys.exit(status)
