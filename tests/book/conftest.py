"""The built book, page by page, for the tests of this folder.

A test that has an argument ``page``, ``written`` or ``executed`` runs once for
each page, each page with a source, or each executed page of the book.
"""

import re
from functools import cached_property
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HTML = DOCS / "_build/html"
TAKEN = HTML / "notebooks"


class Page:
    """A page: what was written, and what was built from it."""

    def __init__(self, name):
        self.name = name
        self.file = HTML / f"{name}.html"

    def __repr__(self):
        return self.name

    @cached_property
    def source(self):
        return (DOCS / f"{self.name}.md").read_text()

    @cached_property
    def cells(self):
        """Read the cells as MyST-NB does; a page without code is one cell."""
        return read_myst_markdown_notebook(self.source).cells

    @cached_property
    def shown(self):
        """Keep the code cells that a reader sees."""
        code = [cell for cell in self.cells if cell.cell_type == "code"]
        return [cell for cell in code if "remove-cell" not in tags(cell)]

    @cached_property
    def notebook(self):
        return nbformat.read(TAKEN / f"jaxbayes-{self.name}.ipynb", as_version=4)

    @cached_property
    def script(self):
        return (TAKEN / f"jaxbayes-{self.name}.py").read_text()

    @cached_property
    def script_code(self):
        """Split the script at its cell marks, and keep the code."""
        cells = re.split(r"(?m)^# %%", self.script)[1:]
        return [cell.strip() for cell in cells if not cell.startswith(" [markdown]")]

    @cached_property
    def html(self):
        return self.file.read_text()

    @cached_property
    def soup(self):
        return BeautifulSoup(self.html, "html.parser")

    @cached_property
    def article(self):
        return self.soup.find("article")

    @cached_property
    def ids(self):
        return [tag["id"] for tag in self.soup.find_all(id=True)]

    def place(self, tag):
        """Say where a tag stands."""
        return f"{self.file.name}:{tag.sourceline}: {' '.join(str(tag).split())[:150]}"


def tags(cell):
    """Return the tags of a cell."""
    return cell.metadata.get("tags", [])


WRITTEN = [Page(file.stem) for file in sorted(DOCS.glob("*.md"))]
EXECUTED = [page for page in WRITTEN if is_myst_markdown_notebook(page.source)]
GENERATED = [Page(name) for name in ("404", "genindex", "search")]  # without a source
PAGES = {"page": WRITTEN + GENERATED, "written": WRITTEN, "executed": EXECUTED}


def pytest_generate_tests(metafunc):
    """Hand a test its pages, if the book is built."""
    for argument in PAGES.keys() & set(metafunc.fixturenames):
        if not (HTML / "index.html").is_file():
            pytest.fail("The book is not built: run make book first.", pytrace=False)
        metafunc.parametrize(argument, PAGES[argument], ids=repr, scope="module")


@pytest.fixture(scope="session")
def pages():
    """Return every page by its name."""
    return {page.name: page for page in PAGES["page"]}
