"""What is installed: every package and every action is the one that was pinned, to the byte."""

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from ruamel.yaml import YAML

from tests.support.project import ROOT

LOCKS = [ROOT / "constraints.txt", ROOT / ".github/pip-audit.txt"]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
DIRECT = [
    *PROJECT["build-system"]["requires"],
    *PROJECT["project"]["dependencies"],
    *(line for extra in PROJECT["project"]["optional-dependencies"].values() for line in extra),
]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
MACHINES = [("linux", "Linux", "x86_64"), ("linux", "Linux", "aarch64"), ("darwin", "Darwin", "arm64")]
CUDA = "sys_platform == 'linux'"


def lines_of(lock: Path) -> list[str]:
    """The requirements of a lock file, each with its hashes on one line."""
    text = re.sub(r"^#.*\n", "", lock.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return text.replace("\\\n", " ").splitlines()


@cache
def requirements() -> list[Requirement]:
    return [Requirement(line.partition("--hash")[0]) for line in lines_of(LOCKS[0])]


def pins(environment: dict[str, str]) -> dict[str, str]:
    """Versions by name, of the lines that hold in an environment, of which there is one for each package."""
    found: dict[str, str] = {}
    for pin in requirements():
        if pin.marker is None or pin.marker.evaluate(environment):
            assert canonicalize_name(pin.name) not in found, pin
            found[canonicalize_name(pin.name)] = str(pin.specifier).removeprefix("==")
    return found


@cache
def needed_by(name: str) -> list[Requirement]:
    try:
        return [Requirement(line) for line in metadata.requires(name) or []]
    except metadata.PackageNotFoundError:  # only other Pythons or machines need it
        return []


def closure(environment: dict[str, str]) -> Iterator[Requirement]:
    """What the project needs, and what that needs in turn, as far as it is installed here."""
    waiting, seen = [(Requirement(line), "") for line in DIRECT], set()
    while waiting:
        requirement, extra = waiting.pop()
        if requirement.marker and not requirement.marker.evaluate(environment | {"extra": extra}):
            continue
        yield requirement
        for wanted in {"", *requirement.extras}:
            if (key := (requirement.name, wanted)) not in seen:
                seen.add(key)
                waiting += [(needed, wanted) for needed in needed_by(requirement.name)]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_every_requirement_has_one_version_and_hashes(lock: Path) -> None:
    for line in lines_of(lock):
        requirement, *hashes = re.split(r"\s+--hash=", line)
        assert re.fullmatch(r"==[\w.]+", str(Requirement(requirement).specifier)), requirement
        assert Requirement(requirement).url is None
        assert hashes, requirement
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}\s*", item) for item in hashes), requirement


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("machine", MACHINES)
def test_the_pins_are_complete(python: str, machine: tuple[str, str, str]) -> None:
    """On each Python and machine: everything needed is pinned, once, in a version that is accepted."""
    environment = {
        "python_version": python,
        "python_full_version": f"{python}.0",
        "sys_platform": machine[0],
        "platform_system": machine[1],
        "platform_machine": machine[2],
    }
    pinned = pins(environment)
    for requirement in closure(environment):
        version = pinned[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version, prereleases=True), (requirement, version)


def test_the_pins_are_for_the_pythons_that_the_project_supports() -> None:
    supported = SpecifierSet(PROJECT["project"]["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if f"3.{minor}" in supported] == PYTHONS


def test_what_is_installed_is_what_is_pinned() -> None:
    pinned = pins({})
    installed = {
        canonicalize_name(package.name): package.version.partition("+")[0]
        for package in metadata.distributions()
    }
    ours = installed.keys() & pinned.keys()  # what else is there, the user has added
    assert {name: installed[name] for name in ours} == {name: pinned[name] for name in ours}
    assert "torch" in ours


def test_packages_for_linux_alone_are_what_pytorch_needs_for_cuda() -> None:
    """By this mark, make leaves them out if PyTorch is a build for CPUs."""
    marked = {pin.name for pin in requirements() if CUDA in str(pin.marker).replace('"', "'")}
    assert {"cuda-toolkit", "nvidia-cudnn-cu13", "triton"} <= marked
    assert all(re.match(r"cuda-|nvidia-|triton$", name) for name in marked)
    elsewhere = {canonicalize_name(requirement.name) for requirement in closure({"sys_platform": "darwin"})}
    assert not marked & elsewhere


@pytest.mark.slow
def test_make_refuses_a_package_that_was_tampered_with(tmp_path: Path) -> None:
    """The proof: a mirror serves its own setuptools under the pinned version's name."""
    version, mirror = pins({})["setuptools"], tmp_path / "mirror"
    mirror.mkdir()
    with zipfile.ZipFile(mirror / f"setuptools-{version}-py3-none-any.whl", "w") as wheel:
        info = f"setuptools-{version}.dist-info"
        wheel.writestr("setuptools/build_meta.py", "raise SystemExit('the mirror runs code')\n")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: setuptools\nVersion: {version}\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(mirror), "PIP_CONFIG_FILE": os.devnull}
    result = subprocess.run(
        ["make", ".venv/installed", f"PYTHON={sys.executable}"],
        cwd=tmp_path,
        env=os.environ | alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 2
    assert "DO NOT MATCH THE HASHES" in result.stderr
    assert "the mirror runs code" not in result.stderr
    assert not (tmp_path / ".venv/installed").exists()


def test_nothing_is_installed_without_hashes() -> None:
    """By make and by workflows: the only exception is the project itself, which downloads nothing."""
    files = [ROOT / "Makefile", *WORKFLOWS, *(ROOT / ".ci").iterdir()]
    lines = "\n".join(file.read_text(encoding="utf-8") for file in files).splitlines()
    commands = [line for line in lines if "pip install" in line]
    assert len(commands) >= 3
    for command in commands:
        assert "--require-hashes" in command or "--no-deps --no-build-isolation --editable ." in command


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_workflows_run_pinned_actions_and_may_only_read(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = YAML(typ="safe").load(text)
    assert workflow["permissions"] == {"contents": "read"}
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for step in job["steps"]:
            if "uses" in step:
                assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", step["uses"])
                assert re.search(re.escape(step["uses"]) + r"  # v\d+\.\d+\.\d+$", text, re.MULTILINE)
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False
