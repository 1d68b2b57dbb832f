"""A digest of what a program's code means: programs with equal digests compute the same results.

A digest covers our modules that the program imports, directly or indirectly, the templates and scripts in
their packages, and the versions of the third-party packages that can change results. It ignores everything
that is only for readers: comments, docstrings, layout, and imports for type checkers. It is the same on
Python 3.11 to 3.14.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pipeline.versions import COMPUTING_PACKAGES, installed_version

ROOT = Path(__file__).resolve().parents[1]
"""The project's folder, which contains its top-level packages."""

DATA_SUFFIXES = {".j2", ".html", ".css", ".js"}
"""Suffixes of the files that belong to the code of a package, besides ``.py``."""

DIGITS = 12
"""As many as git shows of a commit in large repositories: tables of DVC show them in full."""

_UNUSED_FIELDS = {"ctx", "kind", "type_comment", "type_ignores"}


@dataclass(frozen=True)
class Module:
    """One Python file: its path below the project's folder, the digest of its code, the names it imports.

    An imported name may be a module, a package, or something inside a module.
    """

    path: str
    sha256: str
    imports: frozenset[str]


def program_digest(program: str, root: Path = ROOT) -> str:
    """The digest of a program (such as ``pipeline.stages.train``), in hexadecimal digits."""
    modules = imported_modules(program, root)
    parts = {module.path: module.sha256 for module in modules} | _data_files(modules, root)
    lines = [f"{path} {sha256}" for path, sha256 in sorted(parts.items())]
    lines += [f"{name} {number}" for name, number in package_versions(modules).items()]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:DIGITS]


def imported_modules(program: str, root: Path = ROOT) -> list[Module]:
    """All of our modules that ``program`` may load, at its start or later."""
    found: dict[Path, Module] = {}
    waiting = [program]
    while waiting:
        name = waiting.pop()
        path = _module_file(name, root)
        if path is None or path in found:
            continue
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found[path] = _read_module(path, package, root)
        waiting += [name.rpartition(".")[0], *found[path].imports]
    return list(found.values())


def package_versions(modules: Iterable[Module]) -> dict[str, str]:
    """Installed versions of the :data:`COMPUTING_PACKAGES` that the modules import, by package."""
    imported = {name.partition(".")[0] for module in modules for name in module.imports}
    names = sorted(COMPUTING_PACKAGES[name] for name in imported & COMPUTING_PACKAGES.keys())
    return {name: installed_version(name) for name in names}


def canonical_form(tree: ast.AST) -> str:
    """A syntax tree as text without layout, comments and docstrings; the same on all versions of Python.

    The output of ``ast.dump`` and ``ast.unparse`` changes between versions of Python, and ``repr`` of a
    string depends on the version of Unicode.
    """
    parts: list[str] = []
    _write(tree, parts)
    return "".join(parts)


def _write(node: object, parts: list[str]) -> None:
    if isinstance(node, ast.Constant):
        parts.append(ascii(node.value))
    elif isinstance(node, ast.JoinedStr):
        _write(_joined_constants(node.values), parts)
    elif isinstance(node, ast.AST):
        parts.append(f"{type(node).__name__}(")
        for name in node._fields:
            value = getattr(node, name, None)
            if value is not None and value != [] and name not in _UNUSED_FIELDS:
                parts.append(f"{name}=")
                _write(value, parts)
                parts.append(",")
        parts.append(")")
    elif isinstance(node, list):
        parts.append("[")
        for item in node:
            if not _is_for_readers(item):
                _write(item, parts)
                parts.append(",")
        parts.append("]")
    elif node is None:  # nothing in a list, such as the missing default of a keyword-only argument
        parts.append("-")
    else:
        parts.append(ascii(node))


def _is_for_readers(node: object) -> bool:
    """Whether a node does nothing at run time: a docstring, or imports for type checkers."""
    match node:
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), orelse=[]):
            return True
    return False


def _joined_constants(values: Iterable[ast.expr]) -> list[ast.expr]:
    """An f-string's parts, with adjacent constants joined: Python versions split those differently."""
    joined: list[ast.expr] = []
    for value in values:
        if isinstance(value, ast.Constant) and joined and isinstance(joined[-1], ast.Constant):
            joined[-1] = ast.Constant(str(joined[-1].value) + str(value.value))
        else:
            joined.append(value)
    return [value for value in joined if not (isinstance(value, ast.Constant) and value.value == "")]


@cache
def _read_module(path: Path, package: str, root: Path) -> Module:
    tree = ast.parse(path.read_bytes(), filename=str(path))
    sha256 = hashlib.sha256(canonical_form(tree).encode()).hexdigest()
    return Module(path.relative_to(root).as_posix(), sha256, frozenset(_imported_names(tree, package)))


@cache
def _module_file(module: str, root: Path) -> Path | None:
    """The file of one of our modules; None for third-party modules and for names inside modules."""
    base = root.joinpath(*module.split("."))
    files = (base / "__init__.py", base.with_suffix(".py")) if module else ()
    return next((path for path in files if path.is_file()), None)


def _imported_names(node: ast.AST, package: str) -> Iterator[str]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            module = _absolute_name(child, package)
            yield module
            yield from (f"{module}.{alias.name}" for alias in child.names)
        elif not isinstance(child, ast.expr) and not _is_for_readers(child):
            yield from _imported_names(child, package)


def _absolute_name(node: ast.ImportFrom, package: str) -> str:
    """The module that ``from ... import`` names. Relative names start at ``package``."""
    parents = package.split(".")
    base = parents[: len(parents) - node.level + 1] if node.level else []
    return ".".join([*base, *filter(None, [node.module])])


def _data_files(modules: Iterable[Module], root: Path) -> dict[str, str]:
    """SHA-256 of the data files in those modules that are packages, by path."""
    folders = {root / module.path for module in modules if module.path.endswith("/__init__.py")}
    files = [path for init in folders for path in init.parent.iterdir() if path.suffix in DATA_SUFFIXES]
    return {f.relative_to(root).as_posix(): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}
