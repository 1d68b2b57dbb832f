"""Whether Prefect's server answers, and takes our password: checked before anything asks it for work."""

import logging

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_KEY, PREFECT_API_URL

from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.program import run_program

logging.getLogger("httpx").setLevel(logging.WARNING)  # it would report each request


def check_server() -> None:
    """Raise :class:`RefrainError` if the server refuses us, :class:`TransientError` if it does not answer."""
    address = PREFECT_API_URL.value()
    try:
        with get_client(sync_client=True) as client:
            client.request("POST", "/flows/count", json={})  # Prefect Cloud answers this, too
    except HTTPStatusError as error:
        raise RefrainError(f"Prefect's server at {address} {_refusal(error)}") from None
    except HTTPError as error:
        raise TransientError(
            f"Prefect's server at {address} does not answer ({first_line(error)}): start it with "
            "`make server`, or set PREFECT_API_URL to one that runs"
        ) from None


def _refusal(error: HTTPStatusError) -> str:
    status = error.response.status_code
    if status == 401 and PREFECT_API_KEY.value():
        return "refuses PREFECT_API_KEY: create a new key, and log in with `prefect cloud login`"
    if status == 401:
        fault = "is not its password" if PREFECT_API_AUTH_STRING.value() else "is missing"
        return (
            f"wants a password: PREFECT_API_AUTH_STRING {fault}; set it to what "
            "PREFECT_SERVER_API_AUTH_STRING is for the server"
        )
    if status == 403:
        return "takes no requests under this name: use its address (127.0.0.1), or give it a password"
    return f"answers like no server of Prefect's ({first_line(error)}): correct PREFECT_API_URL"


if __name__ == "__main__":
    run_program(check_server)
