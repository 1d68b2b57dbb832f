"""A real Prefect server on loopback, in a home of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.prefect import Api, deploy, prefect_server
from tests.support.project import Project


@pytest.fixture(scope="session")
def prefect_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prefect")


@pytest.fixture(scope="session")
def server(prefect_home: Path) -> Iterator[str]:
    with prefect_server(prefect_home) as address:
        yield address


@pytest.fixture
def api(server: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The server, for programs that tests start, too."""
    monkeypatch.setenv("PREFECT_API_URL", server)
    return Api(server)


@pytest.fixture(scope="session")
def deployed(server: str, finished: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    """The server knows prefect.yaml's pools and deployments."""
    project = Project(tmp_path_factory.mktemp("deployed"), copy_of=finished)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PREFECT_API_URL", server)
        deploy(project)
