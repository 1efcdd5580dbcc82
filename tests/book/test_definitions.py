"""What a chapter defines is what the package holds."""

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

import pytest
from conftest import EXECUTED

import jaxbayes


class Formula(ast.NodeTransformer):
    """Strip what only the package has: docstrings, annotations, guard clauses."""

    def body(self, node):
        self.generic_visit(node)
        node.body = [
            statement
            for statement in node.body
            if not (
                isinstance(statement, ast.Expr)
                and isinstance(statement.value, ast.Constant)
            )
            and not (
                isinstance(statement, ast.If)
                and not statement.orelse
                and all(isinstance(inner, ast.Raise) for inner in statement.body)
            )
        ]
        return node

    visit_ClassDef = body

    def visit_FunctionDef(self, node):
        node.returns = None
        return self.body(node)

    def visit_arg(self, node):
        node.annotation = None
        return node


def definitions(source):
    """Map each top-level function and class of a source to its stripped tree."""
    kinds = ast.FunctionDef | ast.ClassDef
    nodes = [node for node in ast.parse(source).body if isinstance(node, kinds)]
    return {node.name: ast.dump(Formula().visit(node)) for node in nodes}


def code(chapter):
    return [cell for cell in chapter.cells if cell.cell_type == "code"]


@pytest.fixture(scope="module")
def package():
    found = {}
    for module in pkgutil.iter_modules(jaxbayes.__path__, "jaxbayes."):
        source = Path(importlib.import_module(module.name).__file__).read_text()
        found |= definitions(source)
    return found


@pytest.fixture(scope="module")
def taught():
    """Each shared definition of each chapter: (chapter, name, tree)."""
    return [
        (chapter.name, name, tree)
        for chapter in EXECUTED
        for cell in code(chapter)
        for name, tree in definitions(cell.source).items()
    ]


def test_a_chapter_and_the_package_define_the_same(package, taught):
    shared = [(page, name, tree) for page, name, tree in taught if name in package]
    assert shared, "found nothing to compare"
    differ = [f"{page}: {name}" for page, name, tree in shared if tree != package[name]]
    assert not differ


def test_each_function_is_defined_in_one_chapter(package, taught):
    pages = {}
    for page, name, _ in taught:
        if name in package:
            pages.setdefault(name, []).append(page)
    assert {name: on for name, on in pages.items() if len(on) > 1} == {}


def test_what_chapters_should_teach_is_taught(taught):
    by_page = {(page, name) for page, name, _ in taught}
    assert {
        ("data", "double_gaussian_numpy"),
        ("data", "Profile"),
        ("data", "simulate"),
        ("scipy-fit", "chi2_numpy"),
        ("jax-fit", "double_gaussian"),
        ("jax-fit", "chi2"),
        ("error-bars", "laplace_covariance"),
        ("error-bars", "fisher_information"),
        ("timing", "Timing"),
        ("timing", "best_time"),
        ("timing", "race"),
        ("timing", "compile_time"),
        ("posterior", "to_params"),
        ("posterior", "free_model"),
        ("labels", "relabel"),
        ("ordering", "triangle"),
        ("ordering", "ordered_model"),
        ("linear", "polynomial_basis"),
        ("linear", "whiten"),
        ("linear", "take_out"),
        ("linear", "gram_schmidt"),
        ("linear", "marginal_log_likelihood"),
        ("linear", "conditional"),
        ("linear", "draw"),
    } <= by_page


def test_the_comparison_sees_a_change():
    guard = "    if a < 0:\n        raise ValueError\n"
    guarded = f"def f(a: int):\n    'Doc.'\n{guard}    return a"
    assert definitions(guarded) == definitions("def f(a):\n    return a")
    assert definitions(guarded) != definitions("def f(a):\n    return -a")
    assert definitions("class A:\n    x: int") != definitions("class A:\n    y: int")


@pytest.mark.parametrize("chapter", EXECUTED, ids=repr)
def test_a_chapter_imports_only_what_a_reader_installs(chapter):
    allowed = {"jax", "jaxbayes", "numpyro", "numpy", "scipy", "arviz", "corner"}
    only_built = {"myst_nb", "IPython"}  # in cells that no reader runs
    allowed |= {"matplotlib", *only_built}
    allowed |= {"arviz_stats"}  # a part of arviz
    for cell in code(chapter):
        tree = ast.parse(cell.source)
        names = {
            alias.name.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.Import)
            for alias in node.names
        }
        names |= {
            node.module.split(".")[0]
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
        }
        other = names - allowed - set(sys.stdlib_module_names)
        assert not other, f"{chapter} imports {other}"
        if names & only_built:
            assert cell.metadata.get("tags") == ["remove-cell"]
