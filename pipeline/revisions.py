"""Files of the workspace or of a git revision, whether git has them, DVC's cache, or its remote."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.dvc_files import use_private_cache
from pipeline.errors import RefrainError, first_line
from pipeline.params.load import PARAMS_FILE
from pipeline.params.yaml import parse_yaml

if TYPE_CHECKING:
    from dvc.api import DVCFileSystem

WORKSPACE = "workspace"


@dataclass(frozen=True)
class Revision:
    """A git revision of the repository in the current folder, or the workspace."""

    name: str

    @cached_property
    def _files(self) -> "DVCFileSystem":
        from dvc.api import DVCFileSystem
        from dvc.exceptions import DvcException
        from dvc.repo import Repo

        use_private_cache()
        try:
            with Repo() as repo:
                remote = repo.config["core"].get("remote")
                # Without this, the revision's own settings count, which may be older than the remote.
                config = remote and {
                    "core": {"remote": remote},
                    "remote": {remote: repo.config["remote"][remote]},
                }
            files = DVCFileSystem(".", rev=self.name, config=config or None)
            assert files.repo is not None  # opens it
        except DvcException as error:
            raise RefrainError(f"{self.name}: {first_line(error)}") from None
        return files

    @property
    def label(self) -> str:
        """The name and, if it is not the workspace's, the start of the commit's hash."""
        if self.name == WORKSPACE:
            return self.name
        commit: str = self._files.repo.get_rev()
        return f"{self.name} ({commit[:7]})"

    def read(self, path: Path) -> bytes | None:
        """The content of a file, or None if the revision has no such file, or if DVC has lost it."""
        if self.name == WORKSPACE:
            return path.read_bytes() if path.is_file() else None
        from dvc_data.index import DataIndexDirError

        try:
            content: bytes = self._files.read_bytes(str(path))
        except (OSError, DataIndexDirError):
            return None
        return content

    def read_json(self, path: Path) -> dict[str, Any]:
        """The content of a JSON file; empty if the revision has no such file, or if DVC has lost it."""
        content = self.read(path)
        try:
            values = json.loads(content) if content else {}
        except ValueError as error:
            raise RefrainError(f"{self.name}: {path} is damaged ({error})") from None
        return values if isinstance(values, dict) else {}

    @contextmanager
    def local(self, path: Path) -> Iterator[Path | None]:
        """The path of a copy of a file or folder; None if the revision has none, or DVC has lost a part."""
        if self.name == WORKSPACE:
            yield path if path.exists() else None
            return
        with tempfile.TemporaryDirectory(prefix="refrain-revision-") as folder:
            from dvc_data.index import DataIndexDirError

            copy = Path(folder) / path.name
            try:
                self._files.get(str(path), str(copy), recursive=self._files.isdir(str(path)))
            except (OSError, DataIndexDirError):
                yield None
                return
            yield copy


def models_of(revision: Revision) -> list[str]:
    """The names under ``models`` in a revision's ``params.yaml``."""
    models = params_of(revision).get("models")
    return list(models) if isinstance(models, dict) else []


def params_of(revision: Revision) -> dict[str, Any]:
    """The content of a revision's ``params.yaml``."""
    content = revision.read(PARAMS_FILE)
    values = parse_yaml(content.decode(), f"{revision.name}: {PARAMS_FILE}") if content else {}
    return values if isinstance(values, dict) else {}
