"""A Prefect server for the time of one run, for those who have none.

Prefect would start one by itself, but would first import the server's code into the calling program, which
does not need it. Here the server loads in its own process only. That makes a run 3 s shorter.
"""

import atexit
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress

import requests
from prefect.context import refresh_global_settings_context
from prefect.settings import PREFECT_API_URL, PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS

from flows.workspace.parent import ask_to_stop, start_with_parent
from pipeline.errors import RefrainError


def start_temporary_server() -> None:
    """Start a server that ends with this program, however it ends, unless PREFECT_API_URL names one.

    It answers on loopback only, and only those who know its password, which is new each time. Raises
    :class:`RefrainError` if it does not answer in time.
    """
    if PREFECT_API_URL.value():
        return
    password = f"refrain:{secrets.token_urlsafe(32)}"
    # The socket is open before the server starts, so nobody else can take its port and be sent the password.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        process = _start_server(listener, password)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/api"
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Without a handler, atexit functions would not run.
        signal.signal(number, lambda received, _: sys.exit(128 + received))
    atexit.register(process.wait)
    atexit.register(ask_to_stop, process)  # runs first, and after Prefect has sent what it still had to send
    _wait_until_it_answers(address, process)
    os.environ.update(PREFECT_API_URL=address, PREFECT_API_AUTH_STRING=password)
    refresh_global_settings_context()


def _start_server(listener: socket.socket, password: str) -> "subprocess.Popen[bytes]":
    app = ["uvicorn", "--factory", "flows.server.app:create_app", "--lifespan", "on", "--log-level", "error"]
    return start_with_parent(
        [sys.executable, "-m", *app, "--fd", str(listener.fileno())],
        env={
            **os.environ,
            "PREFECT_SERVER_API_AUTH_STRING": password,
            # Prefect sets these, too: such a server has fewer services, and keeps no schedule.
            "PREFECT__SERVER_EPHEMERAL": "1",
            "PREFECT__SERVER_FINAL": "1",
        },
        pass_fds=[listener.fileno()],
    )


def _wait_until_it_answers(address: str, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.RequestException):
            if requests.get(f"{address}/health", timeout=5).ok:
                return
        time.sleep(0.05)
    raise RefrainError("Prefect's server does not start: see above, or set PREFECT_API_URL to one that runs")
