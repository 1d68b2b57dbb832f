"""Texts for worktrees."""

from pathlib import Path

from flows.workspace.texts import copy_ignored_texts
from tests.support.project import Project


def test_a_text_that_git_ignores_is_taken_from_the_clone(project: Project, tmp_path: Path) -> None:
    (project.folder / "data/raw/mine").mkdir()
    (tmp_path / "large.txt").write_text("a")
    (project.folder / "data/raw/mine/a.txt").symlink_to("../../../../large.txt")
    (project.folder / "mine.txt").write_text("neither in git nor ignored")
    tree = Project(tmp_path / "tree", clone_of=project)
    elsewhere = [str(tmp_path / "elsewhere"), "https://example.org/a"]
    for corpus in ("data/raw/mine", "data/raw/lyrics.txt", "mine.txt", *elsewhere):
        copy_ignored_texts(tree.folder, project.folder, corpus)
    assert (tree.folder / "data/raw/mine/a.txt").read_text() == "a"
    assert tree.run("git", "status", "--porcelain").stdout == ""


def test_of_a_folder_only_what_is_missing_is_taken(project: Project, tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (project.folder / "data/raw" / name).write_text("theirs")
    tree = Project(tmp_path / "tree", clone_of=project)
    (tree.folder / "data/raw/a.txt").write_text("its own")
    copy_ignored_texts(tree.folder, project.folder, "data/raw")
    assert (tree.folder / "data/raw/a.txt").read_text() == "its own"
    assert (tree.folder / "data/raw/b.txt").read_text() == "theirs"
