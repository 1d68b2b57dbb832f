"""Which files of the project a module imports, directly or not, found by reading the source."""

import ast
from pathlib import Path

ROOT = Path(__file__).parent.parent


def closure(module: str) -> set[str]:
    """Paths, relative to the project, of all files of ours that running ``module`` may load."""
    found: set[str] = set()
    to_do = [module]
    while to_do:
        name = to_do.pop()
        path = _file(name)
        if path is None or path in found:
            continue
        found.add(path)
        package, _, _ = name.rpartition(".")
        to_do += [package, *_imports(ROOT / path)]
    return found


def _file(module: str) -> str | None:
    if not module:
        return None
    base = ROOT / module.replace(".", "/")
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.exists():
            return str(path.relative_to(ROOT))
    return None


def _imports(path: Path) -> list[str]:
    names: list[str] = []
    for node in _walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _walk(node: ast.AST):
    """All nodes that run: not the ones for type checkers alone, nor a module's use as a program."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) in (
            "TYPE_CHECKING",
            "__name__ == '__main__'",
        ):
            continue
        yield child
        yield from _walk(child)
