import hashlib
from pathlib import Path

import pytest

from pipeline import artifacts


def test_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "a.txt"
    artifacts.write_text(path, "one\r\n")
    assert path.read_bytes() == b"one\r\n"

    def fail() -> None:
        with artifacts.atomic_file(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_bytes() == b"one\r\n"
    assert list(path.parent.iterdir()) == [path]


def test_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "encoded"
    for content in ("one", "two"):
        with artifacts.atomic_folder(path) as temporary:
            (temporary / "train").mkdir()
            (temporary / "train" / content).write_text(content)

    def fail() -> None:
        with artifacts.atomic_folder(path) as temporary:
            (temporary / "half").write_text("x")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert [str(p.relative_to(path)) for p in sorted(path.rglob("*"))] == ["train", "train/two"]
    assert list(tmp_path.iterdir()) == [path]


def test_json_refuses_what_json_has_not(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_json(tmp_path / "a.json", {"perplexity": float("nan")})
    assert not (tmp_path / "a.json").exists()


def test_sha256(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert artifacts.file_sha256(tmp_path / "a") == hashlib.sha256(b"abc").hexdigest()
