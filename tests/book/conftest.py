"""The built book, page by page, for the tests of this folder.

A test that has an argument ``page``, ``written`` or ``executed`` runs once for
each page, each page with a source, or each executed page of the book.
"""

import os
import re
import shutil
from contextlib import closing
from functools import cached_property, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import nbformat
import pytest
from bs4 import BeautifulSoup
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
HTML = DOCS / "_build/html"
TAKEN = HTML / "notebooks"
HOSTED = "/en/latest/"  # where Read the Docs has the book; 404.html counts on it


class Page:
    """A page: what was written, and what was built from it.

    Its name is the last part of ``docname``, which says where it stands below
    ``docs``; its ``address`` is that of the page below the site's.
    """

    def __init__(self, docname):
        self.docname = docname
        self.name = docname.rpartition("/")[2]
        self.address = f"{docname}.html"
        self.file = HTML / self.address

    def __repr__(self):
        return self.name

    @cached_property
    def source(self):
        return (DOCS / f"{self.docname}.md").read_text()

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

    def resolve(self, url):
        """Return the file and the fragment of an internal address, or None."""
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            return None
        hosted = parts.path.startswith(HOSTED)  # on the page for a missing address
        folder = HTML if hosted else self.file.parent
        path = os.path.normpath(folder / parts.path.removeprefix(HOSTED))
        return (Path(path) if parts.path else self.file), unquote(parts.fragment)

    def place(self, tag):
        """Say where a tag stands."""
        return f"{self.address}:{tag.sourceline}: {' '.join(str(tag).split())[:150]}"


def tags(cell):
    """Return the tags of a cell."""
    return set(cell.metadata.get("tags", []))


SOURCES = [file.relative_to(DOCS) for file in DOCS.glob("[!_]*/*.md")]
WRITTEN = [Page(str(file.with_suffix(""))) for file in (Path("index.md"), *SOURCES)]
WRITTEN.sort(key=lambda page: page.docname)
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
    """Return every page by its name, which no two may share."""
    assert len({page.name for page in PAGES["page"]}) == len(PAGES["page"])
    return {page.name: page for page in PAGES["page"]}


@pytest.fixture(scope="session")
def page_of():
    """Return every page by its file."""
    return {page.file: page for page in PAGES["page"]}


# The browser

POLICY = DOCS / "content-security-policy.txt"
TIMEOUT = 15_000  # milliseconds, for a busy machine
expect.set_options(timeout=TIMEOUT)

NAMES = "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)


# How light it is where colors lie on each other: between 0 and 1.
LUMINANCE = """(() => {
  const paint = document.createElement("canvas").getContext(
    "2d", {willReadFrequently: true});
  return colors => {
    for (const color of colors) {
      paint.fillStyle = color;
      paint.fillRect(0, 0, 1, 1);
    }
    const rgb = [...paint.getImageData(0, 0, 1, 1).data].slice(0, 3).map(
      v => v <= 10 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
    return 0.2126 * rgb[0] + 0.7152 * rgb[1] + 0.0722 * rgb[2];
  };
})()"""
CONTRAST = """texts => {
  const luminance = LUMINANCE;
  return texts.map(text => {
    const behind = ["white"];
    for (let e = text; e; e = e.parentElement)
      behind.splice(1, 0, getComputedStyle(e).backgroundColor);
    const front = [...behind, getComputedStyle(text).color];
    const [dark, light] = [luminance(behind), luminance(front)].sort((a, b) => a - b);
    return [(light + 0.05) / (dark + 0.05), text.innerText.slice(0, 60)];
  });
}""".replace("LUMINANCE", LUMINANCE)


class Handler(SimpleHTTPRequestHandler):
    """Serve the book from where it is hosted, under the policy that we publish."""

    def end_headers(self):
        self.send_header("Content-Security-Policy", POLICY.read_text().strip())
        super().end_headers()

    def translate_path(self, path):
        return super().translate_path(path.replace(HOSTED, "/", 1))

    def log_message(self, *args):
        pass


class Visit:
    """A page in the browser, and what went wrong there."""

    def __init__(self, context, url):
        self.home = re.match("file:///|http://[^/]+/", url)[0]
        self.trouble = []
        self.tab = context.new_page()
        self.tab.on("request", self.check)
        self.tab.on("requestfailed", self.check_failure)
        self.tab.on("response", self.check_status)
        self.tab.on("console", self.check_message)
        self.tab.on("pageerror", lambda e: self.trouble.append(f"page error: {e}"))
        self.tab.goto(url)
        self.tab.evaluate("window.MathJax?.startup?.promise")
        self.tab.add_style_tag(content="* { transition: none !important; }")

    def close(self):
        self.tab.close()

    def check(self, request):
        if not request.url.startswith((self.home, "data:")):
            self.trouble.append(f"from elsewhere: {request.url}")

    def check_failure(self, request):
        if request.failure != "net::ERR_ABORTED":  # which is what leaving a page does
            self.trouble.append(f"{request.failure}: {request.url}")

    def check_status(self, response):
        if response.status >= 400:
            self.trouble.append(f"{response.status}: {response.url}")

    def check_message(self, message):
        if message.type in ("error", "warning"):
            self.trouble.append(f"console: {message.text}")

    def wear(self, scheme):
        """Show the page on a screen in the light or the dark theme."""
        self.tab.emulate_media(media="screen", color_scheme=scheme)
        expect(self.tab.locator("html")).to_have_attribute("data-theme", scheme)

    def resize(self, width):
        self.tab.set_viewport_size({"width": width, "height": 900})


@pytest.fixture(scope="module")
def site():
    handler = partial(Handler, directory=HTML)
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}{HOSTED}"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        end = pytest.fail if os.environ.get("CI") else pytest.skip
        end(f"no page was opened: none of {', '.join(NAMES)} is on the PATH")
    lost = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", lost]
        ) as browser,
    ):
        yield browser


def new_context(browser, **options):
    context = browser.new_context(
        **options,
        color_scheme="light",
        permissions=["clipboard-read", "clipboard-write"],
        reduced_motion="reduce",
        viewport={"width": 1280, "height": 900},
    )
    context.set_default_timeout(TIMEOUT)
    return context


@pytest.fixture(scope="module")
def context(browser):
    with new_context(browser) as context:
        yield context


@pytest.fixture
def fresh(browser):
    """Open a context that remembers nothing of the other tests."""
    with new_context(browser) as context:
        yield context


@pytest.fixture(scope="module")
def visit(page, context, site):
    with closing(Visit(context, f"{site}{page.address}")) as visit:
        yield visit


@pytest.fixture(scope="module")
def opened(written, context, site):
    with closing(Visit(context, f"{site}{written.address}")) as visit:
        yield visit


@pytest.fixture(scope="module")
def reading(executed, context, site):
    with closing(Visit(context, f"{site}{executed.address}")) as visit:
        yield visit
