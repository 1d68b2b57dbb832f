"""Locks between processes. The system releases them when their process ends, however it ends."""

import fcntl
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

FOLDER = Path(".dvc/tmp")
"""DVC's own folder for locks."""


@contextmanager
def file_lock(path: Path, on_wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the lock of a file, which is created. If another process holds it, call ``on_wait`` and wait.

    ``on_wait`` receives the other process's number. If it raises, the lock is not waited for.
    """
    with path.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            on_wait(file.read(20) or "?")
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


@contextmanager
def stage_lock(stage: str) -> Iterator[None]:
    """Hold the lock of a stage of this folder (``train@gru``). Waits while another process holds it.

    DVC sees to that among its own processes. But if DVC is killed, the stage that it has started lives on.
    The next ``dvc repro`` starts it again, while the first process still writes the same files. The ranks of
    a training hold no lock: they end with the process that started them.
    """
    if not FOLDER.parent.is_dir():  # without DVC, stages are started by hand
        yield
        return
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / f"{quote(stage, safe='@')}.lock"
    with file_lock(path, lambda pid: log.warning("waiting for process %s, which still runs %s", pid, stage)):
        yield
