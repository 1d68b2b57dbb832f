"""What the code means, against what Python imports and what people write around it."""

import ast
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.code_digest import (
    canonical_form,
    imported_modules,
    package_versions,
    program_digest,
)
from pipeline.errors import RefrainError
from pipeline.versions import COMPUTING_PACKAGES, check_versions, installed_version
from tests.support.digests import MODULES, STAGES, copy_code, digests, files_of
from tests.support.project import ROOT

PROGRAM = '''
"""Docstring."""
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from a import B

LIMIT = 3
"""What it is for."""


class A[T]:
    """Docstring."""

    size: int = 2  # a comment

    def f(self, x: "B", *rest: int, y: float = 1.0, **more: object) -> str:
        """Docstring."""
        match x:
            case {"k": [1, *_]} if y > 0.5:
                return f"{x!r:>{self.size}} {y=:.3f} 分 {{}}" "more" f"{x}"
            case _:
                pass
        try:
            z = [i async for i in x if not i] + [*rest, b"\\x00", 1j, ..., None]
        except* ValueError as error:
            raise KeyError from error
        return rf"\\d{z:{x}{y}}" u"\\u00e9\\U0001FAE8"
'''


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The pipeline's code in a folder of its own."""
    return copy_code(tmp_path / "copy")


def test_comments_docstrings_and_layout_mean_nothing(copy: Path) -> None:
    for module in MODULES:
        path = copy / module
        source = path.read_text(encoding="utf-8")
        source = re.sub(r"^(?=def |class |@)", "# A comment.\n\n\n", source, flags=re.MULTILINE)
        path.write_text(f'{source}\n\n# The end.\n"""Words."""\n', encoding="utf-8")
    assert digests(copy) == digests(ROOT)


@pytest.mark.slow
@pytest.mark.parametrize(
    "stage", ["build_vocab", "encode_corpus", "train", "evaluate", "baselines", "report"]
)
def test_nothing_that_python_loads_is_missed(stage: str) -> None:
    """Every module of ours that a stage's module itself loads; imports inside functions come on top."""
    program = f"""
import sys, pipeline.stages.{stage}
for module in list(sys.modules.values()):
    file = getattr(module, "__file__", None)
    if file and (module.__name__ + ".").startswith("pipeline."): print(file)
"""
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {str(Path(file).relative_to(ROOT)) for file in loaded} <= files_of(stage)


def test_a_template_is_part_of_the_program_that_renders_it(copy: Path) -> None:
    with (copy / "pipeline/reporting/page/page.html.j2").open("a", encoding="utf-8") as file:
        file.write("<!-- end -->\n")
    before, after = digests(ROOT), digests(copy)
    assert {stage for stage in STAGES if after[stage] != before[stage]} == {"report"}


def test_imports_are_followed_wherever_they_stand(tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    sources = {
        "p/__init__.py": "",
        "p/a.py": "if TYPE_CHECKING:\n    import p.unused\ndef f():\n    from p.b import x\n",
        "p/b.py": "try:\n    from . import c\nexcept ImportError:\n    import p.d as d\n",
        "p/c.py": "match 1:\n    case 1:\n        from .e import *\n",
        **{f"p/{name}.py": "" for name in ("d", "e", "unused")},
    }
    for name, source in sources.items():
        (tmp_path / name).write_text(source)
    found = {module.path for module in imported_modules("p.a", tmp_path)}
    assert found == {f"p/{name}.py" for name in ("__init__", "a", "b", "c", "d", "e")}


def other_pythons() -> list[str]:
    """Other versions of Python on this machine, on the PATH or beside this one."""
    names = [f"python3.{minor}" for minor in (11, 12, 13, 14)]
    beside = Path(sys.base_prefix).parent.glob("3.1[1-4].*/bin/python3")
    return [*filter(None, map(shutil.which, names)), *map(str, beside)]


FORM = "f46fcf4e1d14e5cb8cb6081af511c86a3e048148bc5e0a711ca270fac97de9d7"
"""SHA-256 of PROGRAM's form, noted on Python 3.11.7, 3.12.1, 3.13.0 and 3.14.2."""


def test_the_form_is_the_same_on_all_versions_of_python(tmp_path: Path) -> None:
    """This one's, and those of other versions that are at hand."""
    program = PROGRAM.replace("class A[T]:", "class A:")  # type parameters came with 3.12
    assert hashlib.sha256(canonical_form(ast.parse(program)).encode()).hexdigest() == FORM
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    show = (
        "import ast, sys, hashlib; from pipeline.code_digest import canonical_form\n"
        "form = canonical_form(ast.parse(open(sys.argv[1], 'rb').read()))\n"
        "sys.stdout.write(hashlib.sha256(form.encode()).hexdigest())"
    )
    for python in other_pythons():
        command = [python, "-c", show, str(tmp_path / "program.py")]
        result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        if not result.returncode:  # else a launcher of a version that is not installed
            assert result.stdout == FORM, python


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("{**d}", "{None: d}"),
        ("def f(*, a, b): pass", "def f(*, a, b=None): pass"),
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("f'{x}'", "f'{x!s}'"),
        ("a[1:]", "a[1:None]"),
        ("x = None", "x = -0"),
    ],
)
def test_programs_that_differ_have_other_forms(one: str, other: str) -> None:
    assert canonical_form(ast.parse(one)) != canonical_form(ast.parse(other))


def test_versions_are_those_of_the_packages_that_compute() -> None:
    text = package_versions(imported_modules("pipeline.stages.build_vocab"))
    assert list(text) == ["numpy", "pyarrow", "regex"]
    assert {"torch", "safetensors"} < package_versions(imported_modules("pipeline.stages.train")).keys()
    assert all(re.fullmatch(r"[\d.]+", number) for number in text.values())


def test_another_version_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    before = {stage: program_digest(f"pipeline.stages.{stage}") for stage in ("build_vocab", "train")}
    versions = {package: installed_version(package) for package in COMPUTING_PACKAGES.values()}
    monkeypatch.setattr("pipeline.code_digest.installed_version", (versions | {"torch": "9.9"}).get)
    assert program_digest("pipeline.stages.train") != before["train"]
    assert program_digest("pipeline.stages.build_vocab") == before["build_vocab"]


@pytest.mark.parametrize("package", COMPUTING_PACKAGES.values())
def test_packages_that_are_not_the_pinned_ones_are_refused(package: str, tmp_path: Path) -> None:
    constraints, pins = tmp_path / "constraints.txt", (ROOT / "constraints.txt").read_text(encoding="utf-8")
    check_versions(ROOT / "constraints.txt")
    changed = re.sub(rf"^{package}==.*$", f"{package}==0.1", pins, flags=re.MULTILINE | re.IGNORECASE)
    constraints.write_text(changed, encoding="utf-8")
    with pytest.raises(RefrainError, match=rf"{package} [\w.]+ is installed, but .* pins 0\.1: run `make "):
        check_versions(constraints)
