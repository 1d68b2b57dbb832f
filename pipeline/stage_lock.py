"""One process at a time runs a stage.

DVC sees to that among its own processes. But if DVC is killed, the stage that it has started lives on. The
next ``dvc repro`` starts the stage again, while the first process still writes the same files.
"""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

log = logging.getLogger(__name__)

FOLDER = Path(".dvc/tmp")
"""DVC's own folder for locks."""


@contextmanager
def stage_lock(stage: str) -> Iterator[None]:
    """Hold the lock of a stage of this folder (``train@gru``). Waits while another process holds it.

    The system releases the lock when the process ends, however it ends. The ranks of a training hold none:
    they end with the process that started them.
    """
    if not FOLDER.parent.is_dir():  # without DVC, stages are started by hand
        yield
        return
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / f"{quote(stage, safe='@')}.lock").open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            log.warning("waiting for process %s, which still runs %s", file.read(20) or "?", stage)
            fcntl.flock(file, fcntl.LOCK_EX)
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield
