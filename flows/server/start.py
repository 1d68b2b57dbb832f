"""Start Prefect's server for `make server`, with a password wherever other machines can reach it."""

import errno
import logging
import re
import socket
from ipaddress import ip_address

import uvicorn
from prefect.settings import (
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_API_HOST,
    PREFECT_SERVER_API_KEEPALIVE_TIMEOUT,
    PREFECT_SERVER_API_PORT,
    PREFECT_SERVER_LOGGING_LEVEL,
)

from pipeline.errors import RefrainError
from pipeline.program import run_program


def main() -> None:
    """Serve until a signal comes, at the address that Prefect's settings name."""
    host, port = PREFECT_SERVER_API_HOST.value(), PREFECT_SERVER_API_PORT.value()
    addresses = resolve(host, port)
    check_password(host, addresses, PREFECT_SERVER_API_AUTH_STRING.value())
    listeners = listen(addresses)

    logging.getLogger().setLevel(logging.WARNING)  # Prefect has a level of its own
    from flows.server.app import create_app  # loads Prefect's server, which takes seconds

    config = uvicorn.Config(
        create_app,
        factory=True,
        lifespan="on",
        timeout_keep_alive=PREFECT_SERVER_API_KEEPALIVE_TIMEOUT.value(),
        log_level=PREFECT_SERVER_LOGGING_LEVEL.value().lower(),
    )
    print(f"Prefect's pages: http://{f'[{host}]' if ':' in host else host}:{port}", flush=True)
    uvicorn.Server(config).run(listeners)


def listen(addresses: list[tuple[socket.AddressFamily, tuple[str, int]]]) -> list[socket.socket]:
    """Listen at all addresses that this machine has. Its name may stand for one of IPv6 that it lacks."""
    listeners = []
    for family, where in addresses:
        try:
            listeners.append(socket.create_server(where, family=family))
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or len(addresses) == 1:
                raise
    return listeners


def resolve(host: str, port: int) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """The addresses that a host's name stands for, each once."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise RefrainError(f"PREFECT_SERVER_API_HOST: {host}: {error.strerror}") from None
    return list(dict.fromkeys((family, (str(where[0]), port)) for family, _, _, _, where in found))


def check_password(
    host: str, addresses: list[tuple[socket.AddressFamily, tuple[str, int]]], password: str | None
) -> None:
    """Raise :class:`RefrainError` for a password that is malformed, or missing where others could connect."""
    if password is not None and not re.fullmatch(r"[^:\s]+:\S+", password):
        raise RefrainError(
            "PREFECT_SERVER_API_AUTH_STRING is wrong: it should be user:password, without spaces"
        )
    if password is None and not all(ip_address(where[0].split("%")[0]).is_loopback for _, where in addresses):
        raise RefrainError(
            f"the server would answer other machines at {host} without a password, and who reaches it runs "
            "commands on its workers: set PREFECT_SERVER_API_AUTH_STRING=user:password, and the same as "
            "PREFECT_API_AUTH_STRING for make worker, make deploy and make flow"
        )


if __name__ == "__main__":
    run_program(main)
