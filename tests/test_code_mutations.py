"""A changed constant or operator runs the stages that import its module, and no other."""

import ast
from pathlib import Path

import pytest

from tests.support.digests import MODULES, STAGES, copy_code, digests, files_of
from tests.support.project import ROOT


class Mutation(ast.NodeTransformer):
    """Changes the constant or operator number ``index`` of a program, counted from 0 in its tree."""

    def __init__(self, index: int) -> None:
        self.left = index

    def _is_due(self) -> bool:
        self.left -= 1
        return self.left == -1

    def visit_Expr(self, node: ast.Expr) -> ast.AST:
        return node if isinstance(node.value, ast.Constant) else self.generic_visit(node)  # a docstring

    def visit_If(self, node: ast.If) -> ast.AST:
        return node if ast.unparse(node.test) == "TYPE_CHECKING" else self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        return node  # its constants cannot be exchanged for any others

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return ast.copy_location(ast.Constant(f"not {node.value!r}"), node) if self._is_due() else node

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        if self._is_due():
            node.op = ast.Sub() if isinstance(node.op, ast.Add) else ast.Add()
            return node
        return self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        if self._is_due():
            node.ops[0] = ast.NotEq() if isinstance(node.ops[0], ast.Eq) else ast.Eq()
            return node
        return self.generic_visit(node)


def count_mutations(tree: ast.AST) -> int:
    """How many constants and operators :class:`Mutation` can change."""
    counter = Mutation(-1)
    counter.visit(tree)
    return -1 - counter.left


@pytest.mark.slow
def test_a_changed_constant_or_operator_changes_the_stages_that_import_it_and_no_other(
    tmp_path: Path,
) -> None:
    """In each module another one: its first, its second, and so on."""
    before, changeable = digests(ROOT), 0
    for number, module in enumerate(MODULES):
        tree = ast.parse((ROOT / module).read_text(encoding="utf-8"))
        count = count_mutations(tree)
        if not count:
            continue  # an __init__.py with a docstring
        changeable += 1
        root = copy_code(tmp_path / module.as_posix().replace("/", "-"))
        mutated = Mutation(number % count).visit(tree)
        (root / module).write_text(ast.unparse(mutated), encoding="utf-8")
        changed = {stage for stage, digest in digests(root).items() if digest != before[stage]}
        assert changed == {stage for stage in STAGES if module.as_posix() in files_of(stage)}, module
    assert changeable > len(MODULES) * 3 / 4


@pytest.mark.slow
def test_a_constant_changes_the_stages_that_import_it_and_no_other(tmp_path: Path) -> None:
    before = digests(ROOT)
    for number, module in enumerate(MODULES):
        root = copy_code(tmp_path / str(number))
        with (root / module).open("a", encoding="utf-8") as file:
            file.write("\n_CHANGED = 1\n")
        after = digests(root)
        changed = {stage for stage in STAGES if after[stage] != before[stage]}
        assert changed == {stage for stage in STAGES if module.as_posix() in files_of(stage)}, module
