"""The built book, page by page, for the tests of this folder.

A test that has an argument ``page``, ``written`` or ``chapter`` runs once for
each page, each page with a source, or each executed page of the book.
"""

from functools import cached_property
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HTML = DOCS / "_build/html"


class Page:
    """A page: what was written, and what was built from it."""

    def __init__(self, name):
        self.name = name
        self.source = DOCS / f"{name}.md"
        self.file = HTML / f"{name}.html"

    def __repr__(self):
        return self.name

    @cached_property
    def cells(self):
        """Return the cells as MyST-NB reads them; a page of text is one cell."""
        return read_myst_markdown_notebook(self.source.read_text()).cells

    @property
    def shown(self):
        """Return the code cells that a reader sees."""
        return [
            cell
            for cell in self.cells
            if cell.cell_type == "code"
            and "remove-cell" not in cell.metadata.get("tags", [])
        ]

    @cached_property
    def html(self):
        return self.file.read_text()

    @cached_property
    def soup(self):
        return BeautifulSoup(self.html, "html.parser")

    @property
    def article(self):
        return self.soup.find("article")

    @cached_property
    def ids(self):
        return [tag["id"] for tag in self.soup.find_all(id=True)]

    def place(self, tag):
        """Say where a tag stands."""
        return f"{self.name}.html:{tag.sourceline}: {str(tag)[:120]}"


WRITTEN = [Page(file.stem) for file in sorted(DOCS.glob("*.md"))]
CHAPTERS = [
    page for page in WRITTEN if is_myst_markdown_notebook(page.source.read_text())
]
GENERATED = [Page(name) for name in ("404", "genindex", "search")]  # without a source
PAGES = {"page": WRITTEN + GENERATED, "written": WRITTEN, "chapter": CHAPTERS}


def pytest_generate_tests(metafunc):
    """Hand a test its pages, if the book is built."""
    for argument in PAGES.keys() & set(metafunc.fixturenames):
        if not (HTML / "index.html").is_file():
            pytest.fail("The book is not built: run make book first.", pytrace=False)
        metafunc.parametrize(argument, PAGES[argument], ids=repr, scope="module")


@pytest.fixture(scope="session")
def book():
    """Return every page by its name."""
    return {page.name: page for page in PAGES["page"]}
