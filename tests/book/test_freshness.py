"""The cache knows what a chapter depends on, and mends itself."""

import os
import shutil
import sqlite3
import sys
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from jupyter_cache.base import CacheBundleIn
from sphinx.errors import ExtensionError

DOCS = Path(__file__).parents[2] / "docs"
sys.path.append(str(DOCS))

from _ext.execution import freshness  # noqa: E402
from _ext.execution.cache import open_cache, store  # noqa: E402
from _ext.execution.dependencies import digest, reached  # noqa: E402


@pytest.fixture
def package(tmp_path):
    """A package whose modules import one another in every way there is."""
    files = {
        "pkg/__init__.py": "",
        "pkg/a.py": "from pkg.b import thing",
        "pkg/b.py": "from . import c",
        "pkg/c.py": "import numpy",
        "pkg/d.py": "import pkg.sub.inner",
        "pkg/e.py": "from .sub import inner as renamed",
        "pkg/f.py": "def later():\n    from .a import thing",
        "pkg/g.py": "from .h import x",
        "pkg/h.py": "from .g import y",  # a cycle
        "pkg/sub/__init__.py": "from ..c import thing",
        "pkg/sub/inner.py": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("source", "modules"),
    [
        ("import numpy", ""),
        ("import pkg", "__init__"),
        ("import pkg.c as other", "__init__ c"),
        ("from pkg import c, b", "__init__ b c"),
        ("from pkg.a import thing", "__init__ a b c"),
        ("import pkg.d", "__init__ d sub/__init__ sub/inner c"),
        ("import pkg.e", "__init__ e sub/__init__ sub/inner c"),
        ("import pkg.f", "__init__ f a b c"),
        ("import pkg.g", "__init__ g h"),
        ("%timeit 1\nif True:\n    from pkg.c import thing", "__init__ c"),
        ("print('import pkg.a')", ""),
    ],
)
def test_imports_are_followed(package, source, modules):
    expected = {package / "pkg" / f"{name}.py" for name in modules.split()}
    assert reached([source], [package / "none", package]) == expected


def test_the_digest_sees_every_byte_and_no_order(package):
    a, b = package / "pkg/a.py", package / "pkg/b.py"
    before = digest([a, b], "pins")
    assert digest([b, a], "pins") == before
    assert digest([a, b], "other pins") != before
    b.write_text(b.read_text() + "\n")
    assert digest([a, b], "pins") != before


def chapter(code):
    return (
        "---\nfile_format: mystnb\nkernelspec:\n  name: python3\n"
        "  display_name: Python 3\n---\n"
        f"# Title\n\n```{{code-cell}}\n{code}\n```\n"
    )


def kernelspec(text):
    notebook = freshness.read_myst_markdown_notebook(text)
    return notebook.metadata["kernelspec"]


@pytest.fixture
def add(package):
    """What a project with its own package, pins and settings adds to a page."""
    config = SimpleNamespace(
        execution_source_roots=["../src"],
        execution_packages=["pytest"],
        execution_settings=["../requirements.txt"],
        execution_environment={"PROFILE": f"{package}/docs/profile"},
        execution_versions_shown=[],
    )
    (package / "pkg").rename(package / "old")
    shutil.copytree(package / "old", package / "src/pkg")
    (package / "requirements.txt").write_text("jax==1")
    pages = package / "docs/part"
    pages.mkdir(parents=True)

    def add(text, **changes):
        changed = SimpleNamespace(**{**vars(config), **changes})
        changed.execution_digest = freshness.environment(package / "docs", changed)
        env = SimpleNamespace(
            config=changed, srcdir=package / "docs", doc2path=lambda name: pages / name
        )
        return freshness.add_dependencies(env, "page.md", text)

    return add


def test_a_chapter_depends_on_what_it_imports_and_no_more(package, add):
    text = chapter("from pkg.b import thing")
    before, files = add(text)
    assert kernelspec(before)["name"] == "python3"
    assert package / "src/pkg/c.py" in [Path(os.path.normpath(file)) for file in files]
    assert len(before.splitlines()) == len(text.splitlines())  # warnings name lines

    (package / "src/pkg/d.py").write_text("changed = True")
    assert add(text)[0] == before
    prose = text.replace("# Title", "# Another title")
    assert kernelspec(add(prose)[0]) == kernelspec(before)

    (package / "src/pkg/c.py").write_text("changed = True")  # imported by b
    after, _ = add(text)
    assert kernelspec(after) != kernelspec(before)

    (package / "requirements.txt").write_text("jax==2")
    assert kernelspec(add(text)[0]) != kernelspec(after)


def test_a_chapter_depends_on_the_files_that_it_reads(package, add):
    text = chapter('open("../../record.csv").read(), "../no such file"')
    record = package / "record.csv"
    record.write_text("1")
    before, _ = add(text)
    record.write_text("2")
    after, files = add(text)
    assert kernelspec(after) != kernelspec(before)
    assert files == {package / "docs/part/../../record.csv"}


def test_a_chapter_depends_on_the_environment(package, add, monkeypatch):
    text = chapter("1")
    before = add(text)
    elsewhere = {"PROFILE": f"{package}/docs/other"}
    assert add(text, execution_environment=elsewhere) != before
    assert add(text, execution_versions_shown=["jax"]) != before
    monkeypatch.setattr(freshness, "version", lambda name: "0")
    assert add(text) != before


def test_a_chapter_does_not_depend_on_where_the_book_is(tmp_path):
    digests = set()
    for place in ("here", "there"):
        config = SimpleNamespace(
            execution_packages=[],
            execution_settings=[],
            execution_environment={"PROFILE": f"{tmp_path / place}/profile"},
            execution_versions_shown=[],
        )
        digests.add(freshness.environment(tmp_path / place, config))
    assert len(digests) == 1


def test_a_page_without_the_name_of_a_kernel_is_refused(add):
    with pytest.raises(ExtensionError, match="display_name"):
        add(chapter("1").replace("  display_name: Python 3\n", ""))


def test_what_executes_a_book_knows_nothing_of_this_one():
    source = "".join(
        file.read_text().lower() for file in (DOCS / "_ext/execution").glob("*.py")
    )
    names = {"jaxbayes", "numpyro", "docs/", "from ..", "import _ext"}
    names |= {f"{file.parent.name}/" for file in DOCS.glob("[!_]*/*.md")}
    assert not [name for name in names if name in source]


@pytest.fixture
def cached(tmp_path):
    """A cache with two entries, and how to ask for them."""
    cells = [[nbformat.v4.new_code_cell(source)] for source in ("1 + 1", "2 + 2")]
    notebooks = [nbformat.v4.new_notebook(cells=cell) for cell in cells]
    cache = open_cache(tmp_path / "cache")
    for notebook in notebooks:
        store(cache, notebook, "page.md", {"execution_seconds": 1.0})
    cache.db.dispose()
    return tmp_path / "cache", notebooks


def held(path, notebooks):
    """Tell which notebooks a fresh look at the cache finds, and can merge."""
    cache = open_cache(path)
    found = []
    for notebook in notebooks:
        try:
            cache.match_cache_notebook(notebook)
            cache.merge_match_into_notebook(notebook)
            found.append(True)
        except KeyError:
            found.append(False)
    store(cache, notebooks[0], "page.md", {})  # whatever happened, it can be used
    cache.db.dispose()
    return found


def entries(path):
    return sorted((path / "executed").glob("*/base.ipynb"))


def hashes(path, notebooks):
    cache = open_cache(path)
    names = [cache.create_hashed_notebook(notebook)[1] for notebook in notebooks]
    cache.db.dispose()
    return [path / "executed" / name / "base.ipynb" for name in names]


def test_an_intact_cache_is_kept(cached):
    assert held(*cached) == [True, True]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_text(file.read_text()[:-20]),
        lambda file: file.write_text(file.read_text().replace("1 + 1", "1 - 1")),
        lambda file: file.write_bytes(b"\xff\xfe\x00"),
        lambda file: file.write_text(""),
        lambda file: file.unlink(),
        lambda file: shutil.rmtree(file.parent),
    ],
    ids=["cut", "altered", "not text", "empty", "missing", "no folder"],
)
def test_a_damaged_entry_is_dropped_and_the_others_kept(cached, damage):
    path, notebooks = cached
    damage(hashes(path, notebooks)[0])
    assert held(path, notebooks) == [False, True]


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:5000]),
        lambda file: file.write_text("garbage" * 1000),
        lambda file: file.write_text(""),
        lambda file: (
            sqlite3.connect(file).execute("DROP TABLE nbcache").connection.close()
        ),
    ],
    ids=["cut", "garbage", "empty", "no table"],
)
def test_a_damaged_database_is_replaced(cached, damage):
    path, notebooks = cached
    damage(path / "global.db")
    assert held(path, notebooks) == [False, False]
    assert held(path, notebooks) == [True, False]


def test_a_missing_database_is_replaced(cached):
    path, notebooks = cached
    (path / "global.db").unlink()
    assert held(path, notebooks) == [False, False]


def test_an_entry_that_another_program_stored_is_not_trusted(cached):
    path, notebooks = cached
    cache = open_cache(path)
    other = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("3 + 3")])
    cache.cache_notebook_bundle(CacheBundleIn(other, "x.md"), check_validity=False)
    cache.db.dispose()
    assert held(path, [notebooks[1], other]) == [True, False]
