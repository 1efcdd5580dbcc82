"""Numbers in prose come from what the page shows, not from a second measurement."""

import ast

import pytest
from conftest import EXECUTED, tags

# what gives another answer each time: to be called where the reader sees it
MEASURES = {
    *("best_time", "compile_time", "perf_counter", "timeit", "time", "monotonic"),
    *("sample", "importance", "MCMC"),
}
RECORDS = {"Path", "open", "read_text"}  # files that a script has written


def names(node):
    """Return the names that a piece of code reads, and those that it binds."""
    found = [n for n in ast.walk(node) if isinstance(n, ast.Name | ast.Attribute)]
    read = {getattr(n, "id", getattr(n, "attr", None)) for n in found}
    bound = {
        n.id
        for n in found
        if isinstance(getattr(n, "ctx", None), ast.Store) and isinstance(n, ast.Name)
    }
    for n in ast.walk(node):
        if isinstance(n, ast.FunctionDef | ast.ClassDef):
            bound.add(n.name)
        if isinstance(n, ast.Import | ast.ImportFrom):
            bound |= {(a.asname or a.name).split(".")[0] for a in n.names}
    return read, bound


def glued(cells):
    """Yield what is glued: its name, all that it comes from, and what is shown of it.

    ``cells`` are pairs of code and whether a reader sees it.
    """
    shown, made_of = set(), {}
    for code, is_shown in cells:
        for statement in ast.parse(code).body:
            read, bound = names(statement)
            if is_shown:
                shown |= bound
                made_of = {k: v for k, v in made_of.items() if k not in bound}
                continue
            for name in bound:
                made_of[name] = made_of.get(name, set()) | read
                shown.discard(name)
            for call in ast.walk(statement):
                if (
                    isinstance(call, ast.Call)
                    and getattr(call.func, "id", "") == "glue"
                ):
                    yield (
                        ast.unparse(call.args[0]),
                        *closure(names(call.args[1])[0], made_of, shown),
                    )


def closure(read, made_of, shown):
    """Return all names that these come from, and those of them that are shown."""
    todo, seen = set(read), set()
    while todo:
        name = todo.pop()
        seen.add(name)
        todo |= made_of.get(name, set()) - seen
    return seen, seen & shown


def is_shown(cell):
    return not tags(cell) & {"remove-cell", "remove-input"}


@pytest.mark.parametrize("chapter", EXECUTED, ids=repr)
def test_what_is_glued_comes_from_what_is_shown(chapter):
    code = [cell for cell in chapter.cells if cell.cell_type == "code"]
    for name, origin, seen in glued([(c.source, is_shown(c)) for c in code]):
        assert not origin & MEASURES, f"{name} is measured again: {origin & MEASURES}"
        assert seen or origin & RECORDS, f"{name} has nothing to do with what is shown"


def test_a_second_measurement_is_seen():
    shown = ("t = best_time(f)\nprint(t)", True)
    again = "u = best_time(f)\nv = 2 * u\nglue('time', f'{v:.1f}')"
    (found,) = glued([shown, (again, False)])
    assert "best_time" in found[1]
    (found,) = glued([shown, ("v = 2 * t\nglue('time', f'{v:.1f}')", False)])
    assert found[1] & MEASURES == set()
    assert found[2] == {"t"}
