"""Whether Prefect's server answers, and takes our password: checked before anything asks it for work."""

import logging

from httpx import HTTPError, HTTPStatusError
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL

from pipeline.errors import RefrainError, TransientError, first_line
from pipeline.program import run_program

logging.getLogger("httpx").setLevel(logging.WARNING)  # it would report each request


def check_server() -> None:
    """Raise :class:`RefrainError` if the server refuses us, :class:`TransientError` if it does not answer."""
    address = PREFECT_API_URL.value()
    try:
        with get_client(sync_client=True) as client:
            client.request("GET", "/admin/version")
    except HTTPStatusError as error:
        if error.response.status_code != 401:
            raise RefrainError(
                f"PREFECT_API_URL: {address} is not Prefect's server: {first_line(error)}"
            ) from None
        fault = "is not its password" if PREFECT_API_AUTH_STRING.value() else "is missing"
        raise RefrainError(
            f"Prefect's server at {address} wants a password: PREFECT_API_AUTH_STRING {fault}; set it to "
            "what PREFECT_SERVER_API_AUTH_STRING is for the server"
        ) from None
    except HTTPError as error:
        raise TransientError(
            f"Prefect's server at {address} does not answer ({first_line(error)}): start it with "
            "`make server`, or set PREFECT_API_URL to one that runs"
        ) from None


if __name__ == "__main__":
    run_program(check_server)
