"""What a reader takes away: each chapter as a notebook, as a script, to Colab."""

import ast
import os
import re
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path
from runpy import run_path
from urllib.parse import urldefrag, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from conftest import EXECUTED, HTML, ROOT, TAKEN, tags
from docutils.core import publish_doctree
from IPython.core.inputtransformer2 import TransformerManager
from markdown_it import MarkdownIt
from nbclient import NotebookClient

sys.path.append(str(ROOT / "docs"))

from _ext.takeaway.markdown import to_markdown

STATIC = HTML / "_static"
KERNEL = run_path(str(ROOT / "docs/conf.py"))["execution_environment"]
URLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
SITE = URLS["Documentation"]
LOCAL = r"/(?:work|tmp|home|root)/|site-packages|ipykernel_"


def cells(page, kind):
    return [cell for cell in page.notebook.cells if cell.cell_type == kind]


# The menu


def test_the_menu_of_a_chapter_leads_to_its_files(written):
    links = written.soup.select(".dropdown-take-away a")
    name = f"jaxbayes-{written.name}"
    repository = urlsplit(URLS["Repository"]).path
    colab = f"https://colab.research.google.com/github{repository}/blob/notebooks"
    files = [(TAKEN / f"{name}{suffix}", "") for suffix in (".ipynb", ".py")]
    expected = [*files, None] if written in EXECUTED else []
    assert [written.resolve(link["href"]) for link in links] == expected
    for link in links[2:]:
        assert link["href"] == f"{colab}/{name}.ipynb"


def test_each_file_belongs_to_a_chapter():
    names = {file.stem.removeprefix("jaxbayes-") for file in TAKEN.iterdir()}
    assert names <= {page.name for page in EXECUTED}


def test_continuous_integration_publishes_what_colab_opens(tmp_path):
    """Run its step on a bare repository, twice."""
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    *_, upload = jobs["book"]["steps"]
    assert ROOT / upload["with"]["path"] == TAKEN
    job = jobs["notebooks"]
    assert job["needs"] == "book"
    assert "refs/heads/main" in job["if"]
    download, publish = job["steps"]
    assert download["with"]["name"] == upload["with"]["name"]
    remote = tmp_path / "remote.git"
    subprocess.run(["git", "init", "--quiet", "--bare", remote], check=True)
    environment = os.environ | {"REMOTE": str(remote), "GITHUB_SHA": "d1e5e"}
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / f"jaxbayes-{name}.ipynb").write_text("{}")
        bash = ["bash", "-e", "-c", publish["run"]]
        subprocess.run(bash, cwd=folder, env=environment, check=True)
        listing = ["git", "-C", remote, "ls-tree", "--name-only", "notebooks"]
        listed = subprocess.run(listing, capture_output=True, text=True, check=True)
        assert listed.stdout == f"jaxbayes-{name}.ipynb\n"


# The notebook


def test_a_notebook_is_valid_and_says_where_it_comes_from(executed):
    nbformat.validate(executed.notebook)
    first, install, *_ = executed.notebook.cells
    title, origin = first.source.split("\n\n")
    assert title == "# " + executed.article.h1.get_text().removesuffix("#")
    assert f"({SITE}{executed.address})" in origin
    footer = executed.article.select_one("p.provenance").get_text().strip()
    assert origin.partition(" with ")[2] == footer.partition(", with ")[2]
    assert f"%pip install --quiet -r {SITE}_static/requirements.txt" in install.source


@pytest.mark.parametrize("present", [True, False])
@pytest.mark.parametrize("loaded", [True, False])
def test_the_first_cell_installs_where_the_package_is_missing(
    pages, monkeypatch, capsys, present, loaded
):
    """After it has replaced a NumPy that is loaded, one must restart: it says so."""
    source = cells(pages["index"], "code")[0].source
    ran = []

    class Shell:
        def run_line_magic(self, *what):
            ran.append(what)

    found = "something" if present else None
    monkeypatch.setattr("importlib.util.find_spec", lambda name: found)
    modules = {name: m for name, m in sys.modules.items() if loaded or name != "numpy"}
    monkeypatch.setattr("sys.modules", modules)
    code = TransformerManager().transform_cell(source)
    exec(code, {"get_ipython": Shell})  # noqa: S102
    line = f"install --quiet -r {SITE}_static/requirements.txt"
    assert ran == ([] if present else [("pip", line)])
    told = "Restart the session" in capsys.readouterr().out
    assert told == (loaded and not present)


def words(soup):
    return re.findall(r"\w+", soup.get_text(" "))


def test_a_notebook_says_what_the_page_says(executed):
    """Show its texts as Jupyter does, and compare them with the page, word by word."""
    texts = "\n\n".join(cell.source for cell in cells(executed, "markdown")[1:])
    texts = re.sub(r"(?s)\$\$.*?\$\$|\$[^$]+\$", "", texts)
    html = MarkdownIt("commonmark").enable("table").render(texts)
    shown = BeautifulSoup(html, "html.parser")
    page = BeautifulSoup(str(executed.article), "html.parser")
    unseen = ".math, .headerlink, .provenance, .toctree-wrapper, h1, script, button"
    for tag in page.select(f"{unseen}, .cell_input, .cell_output .output, summary"):
        tag.decompose()
    assert words(shown) == words(page)


def test_no_markup_of_the_book_is_left_in_a_notebook(executed):
    for cell in cells(executed, "markdown"):
        text = re.sub(r"(?s)\$\$.*?\$\$|\$[^$]+\$", "", cell.source)
        assert not re.search(r"\{[a-z:-]+\}`|:::|```\{|^\(\S+\)=|\0", text), text
        assert not re.search(r"^:\w+:", text, re.M), text


RST = r"""
Stars \*, bars :math:`|x|`; see `this`_, ``a ` b`` and a_b.

.. _this: page.html#part

- one

  #. inner
  #. second

- two

.. note:: Mind this,

   and that.

term
  What it means.

=====  ==========
head   :math:`|y|`
=====  ==========
a      ``p | q``
=====  ==========
"""
PLAIN = r"""
Stars \*, bars $|x|$; see [this](https://x.org/page.html#part), `` a ` b `` and a\_b.

- one

  1. inner
  2. second

- two

> **Note**
>
> Mind this,
>
> and that.

- **term**: What it means.

| head | $\vert y\vert $ |
| --- | --- |
| a | `p \| q` |
"""


def test_markdown_of_what_no_page_may_hold_today():
    written = to_markdown(publish_doctree(RST), {}, "https://x.org/")
    assert re.sub(" +$", "", written, flags=re.M) == PLAIN.strip()


def test_links_of_a_notebook_lead_to_the_site(executed, page_of):
    text = "\n".join(cell.source for cell in cells(executed, "markdown"))
    links = re.findall(r"\]\((\S+?)\)", text)
    assert links
    outside = {link["href"] for link in executed.article.select("a.external")}
    for link in links:
        address, fragment = urldefrag(link)
        if address.startswith(SITE):
            file = HTML / address.removeprefix(SITE)
            assert file.is_file(), link
            assert not fragment or fragment in page_of[file].ids, link
        else:
            assert link in outside, link


def test_outputs_of_a_notebook_are_those_of_the_page(executed):
    outputs = [out for cell in cells(executed, "code") for out in cell.outputs]
    assert not re.search(LOCAL, nbformat.writes(executed.notebook))
    assert "papermill" not in nbformat.writes(executed.notebook)
    texts = [out["text"].strip() for out in outputs if out.output_type == "stream"]
    streams = executed.article.select(".output.stream")
    assert texts == [stream.get_text().strip() for stream in streams]
    figures = [out for out in outputs if "image/png" in out.get("data", {})]
    alts = [out.metadata["image/png"]["alt"] for out in figures]
    images = executed.article.select(".cell_output img")
    assert alts == [" ".join(image["alt"].split()) for image in images]


def test_a_notebook_runs(pages, tmp_path):
    notebook = pages["install"].notebook
    NotebookClient(notebook, timeout=120).execute(cwd=str(tmp_path))
    assert "True 0.98" in notebook.cells[-2].outputs[0].text


# The script, and the code of all three


def test_page_notebook_and_script_hold_the_same_code(executed):
    """The browser's test adds what the copy buttons give."""
    sources = [cell.source for cell in executed.shown]
    assert [cell.source for cell in cells(executed, "code")[1:]] == sources
    code = list(executed.script_code)
    plots = any("import matplotlib.pyplot as plt" in source for source in sources)
    assert (code[-1] == "plt.show()") == plots
    assert len(code) == len(sources) + plots
    for written, cell in zip(code, executed.shown, strict=False):
        if "raises-exception" in tags(cell):
            (attempt,) = ast.parse(written).body
            written = "\n".join(map(ast.unparse, attempt.body))
            assert ast.dump(ast.parse(written)) == ast.dump(ast.parse(cell.source))
        else:
            assert written == cell.source


def test_scripts_use_no_name_that_only_a_removed_cell_defines():
    ruff = [sys.executable, "-m", "ruff", "check", "--isolated", "--quiet"]
    done = subprocess.run(
        [*ruff, "--no-cache", "--select", "F821", TAKEN],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    """Make an environment from the published list and wheel, without a network.

    The packages that the list pins are linked from ours. Then pip is given the list,
    and nowhere to look: it fails if a requirement, or an extra's, is not on it.
    """
    home = tmp_path_factory.mktemp("reader")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", home], check=True)
    ask = [
        home / "bin/python",
        "-c",
        "import sysconfig as s; print(s.get_path('purelib'))",
    ]
    site = subprocess.run(ask, capture_output=True, text=True, check=True)
    site = Path(site.stdout.strip())
    *pins, package = (STATIC / "requirements.txt").read_text().splitlines()
    for pin in pins:
        name, version = pin.split(" ")[0].split("==")
        installed = distribution(name)
        assert installed.version == version
        tops = {file.parts[0] for file in installed.files} - {"..", "__pycache__"}
        for top in tops:
            (site / top).symlink_to(installed.locate_file(top))
    wheel = STATIC / package.rsplit("/", 1)[1]
    (home / "list.txt").write_text("\n".join([*pins, str(wheel)]))
    pip = [sys.executable, "-m", "pip", "--python", home / "bin/python", "install"]
    options = ["--quiet", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, "-r", home / "list.txt"], check=True)
    return home / "bin/python"


NUMBER = r"[-+]?\d[\d,]*(?:\.\d*)?(?:e[-+]?\d+)?"
TIME = rf"{NUMBER} ?(?=(?:ms|us|s|seconds?)\b)"
TIME += rf"|{NUMBER}(?= times (?:faster|as many effective\s+draws))"
TIME += rf"|\({NUMBER} to {NUMBER}\)"


def told(lines):
    """Split lines into their words and their numbers, without times."""
    text = re.sub(TIME, "", "\n".join(lines))
    numbers = [float(n.replace(",", "")) for n in re.findall(NUMBER, text)]
    return re.sub(NUMBER, "#", text).split(), numbers


def test_a_script_prints_what_the_page_shows(executed, reader, tmp_path):
    """Run it elsewhere. Where a chapter measures time, only names are compared."""
    not_theirs = {*KERNEL, "DISPLAY", "PYTHONPATH"}
    environment = {k: v for k, v in os.environ.items() if k not in not_theirs}
    # compiled once, and rounded alike: chains make much of a last digit
    alike = {k: v for k, v in KERNEL.items() if k.startswith(("JAX_", "OPENBLAS_"))}
    environment |= {**alike, "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [reader, TAKEN / f"jaxbayes-{executed.name}.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    shown = executed.article.select(".output.stream, .output.traceback")
    shown = "\n".join(output.get_text().strip("\n") for output in shown).splitlines()
    printed = done.stdout.splitlines()
    if "alone: true" in executed.source:
        assert [line.split()[:1] for line in printed] == [
            line.split()[:1] for line in shown
        ]
    else:
        (words_printed, numbers), (words_shown, expected) = told(printed), told(shown)
        assert words_printed == words_shown
        assert numbers == pytest.approx(expected, rel=1e-3, abs=1e-6)
