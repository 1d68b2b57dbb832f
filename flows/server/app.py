"""Prefect's server behind a doorkeeper: pages of other origins get nothing, and none asks outside."""

import json
from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from prefect.server.api import collections
from prefect.server.api.server import create_app as create_prefect_app
from prefect.settings import (
    PREFECT_SERVER_API_AUTH_STRING,
    PREFECT_SERVER_CORS_ALLOWED_ORIGINS,
    PREFECT_UI_API_URL,
)
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.websockets import WebSocketClose

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def create_app() -> App:
    """Prefect's server, set up by Prefect's settings."""
    answer_registry_from_files()
    return Doorkeeper(create_prefect_app())


class Doorkeeper:
    """Refuses what pages of other origins ask, WebSockets too. Prefect's own pages reach this server only."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._has_password = bool(PREFECT_SERVER_API_AUTH_STRING.value())
        self._origins = {name.strip() for name in PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value().split(",")}
        self._policy = page_policy(PREFECT_UI_API_URL.value() or "")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""

        async def send_with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = self._policy
            await send(message)

        if scope["type"] == "lifespan" or self._allows(Headers(scope=scope)):
            await self._app(scope, receive, send_with_policy)
        elif scope["type"] == "websocket":
            await WebSocketClose(1008)(scope, receive, send)
        else:
            refusal = "This server takes no requests from pages of other origins, or under other names."
            await PlainTextResponse(refusal, 403)(scope, receive, send)

    def _allows(self, headers: Headers) -> bool:
        host, origin = headers.get("host", ""), headers.get("origin")
        # A page whose name was changed to mean this machine has the server's origin, but no password.
        if not (self._has_password or is_loopback_name(host)):
            return False
        if origin is not None and not self._origins.isdisjoint({origin, "*"}):
            return True
        # Browsers say so where they send no Origin: a page of another origin asks for a picture or a script.
        is_elsewhere = headers.get("sec-fetch-site") in ("cross-site", "same-site")
        if is_elsewhere and headers.get("sec-fetch-mode") != "navigate":
            return False
        return origin is None or urlsplit(origin).netloc == host


def is_loopback_name(host: str) -> bool:
    """Whether a Host header names this very machine, as no other machine's name can."""
    name = urlsplit(f"//{host}").hostname or ""
    try:
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


def page_policy(api_url: str) -> str:
    """The Content-Security-Policy of Prefect's pages: they load and send nothing elsewhere, in no frame."""
    address = urlsplit(api_url)
    sockets = "wss" if address.scheme == "https" else "ws"
    api = f" {address.scheme}://{address.netloc} {sockets}://{address.netloc}" if address.netloc else ""
    return f"default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:{api}; frame-ancestors 'none'"


def answer_registry_from_files() -> None:
    """Have the server answer from Prefect's own files what it would ask GitHub for."""
    folder = Path(collections.__file__).with_name("collections_data") / "views"
    collections.GLOBAL_COLLECTIONS_VIEW_CACHE = {  # type: ignore[assignment]
        view: json.loads(path.read_text(encoding="utf-8"))
        if (path := folder / f"{view}.json").exists()
        else {}
        for view in collections.KNOWN_VIEWS
    }
