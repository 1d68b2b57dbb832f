"""A Prefect server for the time of one run, for those who have none.

Prefect would start one by itself, but would first import the server's code into the calling program, which
does not need it. Here the server loads in its own process only. That makes a run 3 s shorter.
"""

import atexit
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import requests
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS

from pipeline.errors import RefrainError


def start_temporary_server() -> None:
    """Start a server that ends with this program, unless PREFECT_API_URL names one.

    Raises :class:`RefrainError` if it does not answer in time.
    """
    if PREFECT_API_URL.value():
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["uvicorn", "--factory", "prefect.server.api.server:create_app", "--lifespan", "on"]
    process = subprocess.Popen(
        [sys.executable, "-m", *command, "--port", str(port), "--log-level", "error"],
        # Prefect sets these, too: such a server has fewer services, and keeps no schedule.
        env={**os.environ, "PREFECT__SERVER_EPHEMERAL": "1", "PREFECT__SERVER_FINAL": "1"},
        start_new_session=True,  # Ctrl-C is for the run, which still has to tell the server
    )
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Without a handler, atexit functions would not run.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    atexit.register(process.wait)
    atexit.register(process.terminate)  # runs first, and after Prefect has sent what it still had to send
    address = f"http://127.0.0.1:{port}/api"
    _wait_until_it_answers(address, process)
    os.environ["PREFECT_API_URL"] = address
    refresh_global_settings_context()


def _wait_until_it_answers(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        time.sleep(0.05)
    raise RefrainError("Prefect's server does not start: see above, or set PREFECT_API_URL to one that runs")
