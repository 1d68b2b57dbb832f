"""Strangers at a Prefect server: other machines, pages of other origins, wrong passwords."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support.faults import one_line
from tests.support.prefect import deploy, prefect_server, worker
from tests.support.project import ROOT, Project

PASSWORD = "admin:secret"


def start(**variables: str) -> "subprocess.CompletedProcess[str]":
    """Start a server that must not come up."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        return subprocess.run(
            [sys.executable, "-m", "flows.server.start"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )


@pytest.mark.slow
def test_server_for_other_machines_needs_a_password() -> None:
    line = one_line(start(PREFECT_SERVER_API_HOST="0.0.0.0", PREFECT_SERVER_API_PORT="0"))
    assert "would answer other machines at 0.0.0.0 without a password" in line
    assert "set PREFECT_SERVER_API_AUTH_STRING=user:password" in line


@pytest.mark.slow
@pytest.mark.parametrize("password", ["", "secret", ":", "admin:", ":secret", "admin:two words"])
def test_malformed_password_is_one_line(password: str) -> None:
    from flows.server.start import check_password, resolve
    from pipeline.errors import RefrainError

    with pytest.raises(RefrainError, match="PREFECT_SERVER_API_AUTH_STRING is wrong"):
        check_password("127.0.0.1", resolve("127.0.0.1", 4200), password)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("host", "is_open"),
    [
        ("127.0.0.1", False),
        ("127.1", False),
        ("localhost", False),
        ("0", True),
        ("", True),
        ("192.0.2.1", True),
    ],
)
def test_only_loopback_does_without_a_password(host: str, is_open: bool) -> None:
    from flows.server.start import check_password, resolve
    from pipeline.errors import RefrainError

    addresses = resolve(host, 4200)
    check_password(host, addresses, PASSWORD)
    if not is_open:
        check_password(host, addresses, None)
        return
    with pytest.raises(RefrainError, match="without a password"):
        check_password(host, addresses, None)


@pytest.fixture(scope="module")
def unlocked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with prefect_server(tmp_path_factory.mktemp("unlocked")) as address:
        yield address


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("locked")
    with prefect_server(home, PREFECT_SERVER_API_AUTH_STRING=PASSWORD) as address:
        yield address


@pytest.mark.server
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "http://127.0.0.1:8000", "https://localhost", "null"]
)
def test_pages_of_other_origins_read_and_change_nothing(unlocked: str, origin: str) -> None:
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/json", ""):
        headers = {"Origin": origin, **({"Content-Type": kind} if kind else {})}
        answer = httpx.post(f"{unlocked}/flows/", headers=headers, content=b'{"name": "proof"}')
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
    assert httpx.get(f"{unlocked}/csrf-token?client=1", headers={"Origin": origin}).status_code == 403
    ask = {"Origin": origin, "Access-Control-Request-Method": "POST"}
    assert "access-control-allow-origin" not in httpx.options(f"{unlocked}/flows/", headers=ask).headers
    for site in ("cross-site", "same-site"):  # pictures and scripts: browsers name no origin
        answer = httpx.get(f"{unlocked}/admin/settings", headers={"Sec-Fetch-Site": site})
        assert answer.status_code == 403
    address = f"{unlocked.replace('http', 'ws')}/events/in"
    with pytest.raises(InvalidStatus), connect(address, origin=origin):  # type: ignore[arg-type]
        pass
    with connect(address):
        pass  # Prefect's own clients name no origin


@pytest.mark.server
def test_page_whose_name_was_changed_to_mean_this_machine_gets_nothing(unlocked: str) -> None:
    port = httpx.URL(unlocked).port
    for host in ("evil.example", "127.0.0.1.evil.example", "localhost.evil.example", "192.0.2.1"):
        headers = {"Host": f"{host}:{port}", "Origin": f"http://{host}:{port}"}
        assert httpx.get(f"{unlocked}/csrf-token?client=1", headers=headers).status_code == 403
    for host in ("localhost", "127.0.0.1", "[::1]"):
        assert httpx.get(f"{unlocked}/health", headers={"Host": f"{host}:{port}"}).status_code == 200


@pytest.mark.server
def test_post_without_a_token_is_refused_even_from_the_servers_own_origin(unlocked: str) -> None:
    answer = httpx.post(f"{unlocked}/flows/", json={"name": "proof"})
    assert answer.status_code == 403
    assert "CSRF" in answer.text


@pytest.mark.server
def test_pages_send_nothing_elsewhere_and_are_in_no_frame(unlocked: str) -> None:
    page = httpx.get(unlocked.removesuffix("api"), headers={"Accept": "text/html"}, follow_redirects=True)
    policy = page.headers["content-security-policy"]
    assert policy == "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'"
    settings = httpx.get(unlocked.replace("/api", "/ui-settings")).json()
    assert settings["api_url"] == "/api", "pages ask where they came from, also from other machines"


@pytest.mark.server
def test_stranger_without_the_password_gets_nothing(locked: str) -> None:
    for auth in (None, ("admin", "wrong"), ("admin", "")):
        assert httpx.get(f"{locked}/csrf-token?client=1", auth=auth).status_code == 401
        assert httpx.post(f"{locked}/flows/filter", json={}, auth=auth).status_code in (401, 403)
    assert httpx.get(f"{locked}/csrf-token?client=1", auth=("admin", "secret")).status_code == 200


@pytest.mark.server
@pytest.mark.parametrize(
    ("password", "fault"), [(None, "is missing"), ("admin:wrong", "is not its password")]
)
@pytest.mark.parametrize("program", ["flows.reproduce", "flows.server.reach"])
def test_wrong_or_missing_password_is_one_line(
    project: Project,
    locked: str,
    monkeypatch: pytest.MonkeyPatch,
    password: str | None,
    fault: str,
    program: str,
) -> None:
    """`make worker` and `make deploy` begin with flows.server.reach."""
    monkeypatch.setenv("PREFECT_API_URL", locked)
    if password:
        monkeypatch.setenv("PREFECT_API_AUTH_STRING", password)
    result = project.run(sys.executable, "-m", program, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert f"wants a password: PREFECT_API_AUTH_STRING {fault}" in one_line(result)
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.server
def test_server_that_does_not_answer_is_one_line(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    result = project.run(sys.executable, "-m", "flows.server.reach", check=False)
    assert result.returncode == 75
    assert "does not answer" in one_line(result)


@pytest.mark.server
def test_those_who_know_the_password_work_as_without_one(
    again: Project, locked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", locked)
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", PASSWORD)
    deploy(again)
    with worker(again):
        run = again.run("prefect", "deployment", "run", "reproduce/reproduce", "--watch", check=False)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.slow
def test_server_that_is_started_by_hand_in_the_folder_has_the_same_settings(project: Project) -> None:
    program = (
        "import json, prefect.settings as s; print(json.dumps([s.PREFECT_SERVER_CORS_ALLOWED_ORIGINS.value(),"
        " s.PREFECT_SERVER_CSRF_PROTECTION_ENABLED.value(), s.PREFECT_UI_API_URL.value(),"
        " s.PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS.value()]))"
    )
    settings = json.loads(project.run(sys.executable, "-c", program).stdout)
    assert settings == ["", True, "/api", 180]


def test_no_page_of_the_documentation_opens_a_port_without_a_password() -> None:
    for page in (ROOT / "README.md", *Path(ROOT / "docs").glob("*.md")):
        text = page.read_text(encoding="utf-8")
        assert "0.0.0.0" not in text or "PREFECT_SERVER_API_AUTH_STRING=" in text, page
