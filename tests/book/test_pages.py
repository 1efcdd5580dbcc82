"""The built pages, and the house rules of their sources."""

import ast
import platform
import re
import struct
from collections import Counter
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from urllib.parse import urljoin

import pytest
from conftest import DOCS, HTML, ROOT, tags

SRC = ROOT / "src"
MATHJAX = "_static/mathjax/tex-svg-full.js"


# Links between the pages


def test_each_source_has_its_page_and_no_page_is_left_over(page_of):
    built = set(HTML.rglob("*.html")) - set((HTML / "_static").rglob("*.html"))
    missing, old = page_of.keys() - built, built - page_of.keys()
    assert not missing, f"not built: {sorted(missing)}"
    assert not old, f"left over from an earlier build: {sorted(old)}"


def test_front_page_leads_to(written, pages):
    index = pages["index"]
    links = index.soup.select("nav.bd-links a[href], a.navbar-brand[href]")
    assert written.file in [index.resolve(link["href"])[0] for link in links]


def test_internal_links_resolve(page, page_of):
    dead = []
    for tag in page.soup.find_all(True):
        for attribute in {"href", "src", "action", "data", "poster"} & tag.attrs.keys():
            if found := page.resolve(tag[attribute]):
                file, fragment = found
                ids = page_of[file].ids if file.is_file() and fragment else []
                if not file.is_file() or (fragment and fragment not in ids):
                    dead.append(page.place(tag))
    assert not dead, "\n".join(dead)


def test_ids_are_unique(page):
    counts = Counter(page.ids)
    twice = [tag for tag in page.soup.find_all(id=True) if counts[tag["id"]] > 1]
    assert not twice, "\n".join(map(page.place, twice))


def test_addresses_of_the_sitemap_resolve(pages):
    base = urljoin(pages["index"].soup.find("link", rel="canonical")["href"], ".")
    addresses = re.findall("<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text())
    assert addresses
    for address in addresses:
        assert address.startswith(base)
        assert (HTML / address.removeprefix(base)).is_file(), address


# Nothing comes from elsewhere

OUTSIDE = r"(?:https?:)?//"
IN_CSS = rf"""url\(\s*["']?{OUTSIDE}[^)]*|@import\s*["']{OUTSIDE}[^;]*"""
ONLY_NAMED = {"author", "canonical", "index", "license", "next", "prev", "search"}


def test_page_loads_nothing_from_outside(page):
    outside = []
    for tag in page.soup.find_all(True):
        loads = [tag.get(key, "") for key in ("href", "src", "data", "poster")]
        loads += tag.get("srcset", "").split(",")
        if tag.name == "a" or ONLY_NAMED.issuperset(tag.get("rel", ["stylesheet"])):
            loads = []
        styles = tag.get("style", "") + (tag.text if tag.name == "style" else "")
        if re.search(IN_CSS, styles) or any(
            re.match(OUTSIDE, load.strip()) for load in loads
        ):
            outside.append(page.place(tag))
    assert not outside, "\n".join(outside)


def test_style_sheets_load_nothing_from_outside():
    sheets = list(HTML.rglob("*.css"))
    assert HTML / "_static/book.css" in sheets
    for sheet in sheets:
        assert not re.findall(IN_CSS, sheet.read_text()), sheet


def test_mathjax_is_loaded_where_there_is_maths(page):
    sources = [tag["src"].split("?")[0] for tag in page.soup.select("script[src]")]
    mathjax = [source for source in sources if "mathjax" in source.lower()]
    files = [page.resolve(source)[0] for source in mathjax]
    assert files == ([HTML / MATHJAX] if page.soup.select(".math") else [])


def test_mathjax_is_the_file_that_is_pinned():
    assert sha256((HTML / MATHJAX).read_bytes()).hexdigest()[:8] == "a4354ff9"


# What cells printed, and what they computed for the text

LOCAL = r"(?<![\w.:/-])/(?:work|tmp|home|root)\b.*|.*site-packages.*|.*ipykernel_.*"
PROGRESS = r".*\d%\|.*|.*\d(?:it/s|s/it)\b.*|.*[▏▎▍▌▋▊▉█].*|.*jupyter\.widget.*"
RAW = r"\{[a-z][a-z:-]*\}|glue:|\\[(\[]|^\s*:::"


def test_no_warnings_local_paths_or_progress_bars(written):
    wrong = written.soup.select(".stderr, .system-message, .problematic")
    assert not wrong, "\n".join(map(written.place, wrong))
    found = re.findall(f"{LOCAL}|{PROGRESS}", written.html)
    assert not found, "\n".join(found)


def test_errors_are_shown_only_where_they_are_meant(written):
    meant = [cell.source for cell in written.shown if "raises-exception" in tags(cell)]
    shown = written.soup.select(".output.traceback")
    assert len(shown) == len(meant), "\n".join(map(written.place, shown))
    others = written.soup.select(".output:not(.traceback)")
    wrong = [output for output in others if "Traceback" in output.text]
    assert not wrong, "\n".join(map(written.place, wrong))


def test_roles_and_computed_numbers_came_through(written):
    pasted = written.article.select(".pasted-text, .pasted-inline")
    assert len(pasted) == len(re.findall(r"\{glue:\w*\}`", written.source))
    empty = [number for number in pasted if not number.text.strip()]
    assert not empty, "\n".join(map(written.place, empty))
    for text in written.article.find_all(string=re.compile(RAW)):
        quoted = text.find_parent(["code", "pre"]) or text.find_parent(class_="math")
        assert quoted, written.place(text.parent)


# Figures


def test_images_are_described(written):
    for image in written.article.find_all("img"):
        alt = image.get("alt", "")
        least = 40 if image.find_parent(class_="cell_output") else 1
        described = len(alt) >= least and not re.fullmatch(r"\S+\.\w{3,4}", alt)
        assert described, written.place(image)


def test_computed_figures_are_numbered_and_referred_to(executed):
    for image in executed.article.select(".cell_output img"):
        figure = image.find_parent("figure", id=True)
        assert figure, f"no caption: {executed.place(image)}"
        number = figure.select_one("figcaption .caption-number").text.strip()
        assert re.fullmatch(r"Fig\.\xa0\d+", number), executed.place(figure)
        assert len(figure.select_one(".caption-text").text) > 40, executed.place(figure)
        links = executed.article.select(f'a[href="#{figure["id"]}"] .std-numref')
        assert number in [link.text for link in links], (
            f"nothing in the text refers to {number}, {executed.place(figure)}"
        )


def test_punctuation_stays_with_its_formula(page):
    for formula in page.soup.select("article p > span.math"):
        follows = formula.next_sibling
        assert not (isinstance(follows, str) and re.match("[.,:;)]", follows)), (
            page.place(formula)
        )


def test_space_is_kept_for_images(executed):
    for image in executed.article.find_all("img"):
        file, _ = executed.resolve(image["src"])
        width, height = struct.unpack(">II", file.read_bytes()[16:24])  # of a PNG
        assert {"width", "height"} <= image.attrs.keys(), executed.place(image)
        rounding = abs(int(image["width"]) * height / width - int(image["height"]))
        assert rounding <= 1, executed.place(image)


# Provenance

FOOTER = r"Executed on (.+) in (\d+\.\d) seconds on (\S.+), with (python\xa0.+)\.\n*"


def test_executed_pages_and_no_others_say_when_and_on_what(written):
    footers = written.article.select("p.provenance")
    assert len(footers) == written.source.count("file_format: mystnb")
    for footer in footers:
        said = re.fullmatch(FOOTER, footer.text)
        assert said, footer.text
        when = datetime.fromisoformat(footer.time["datetime"])
        assert said[1] == f"{when:%d %B %Y}"
        assert when <= datetime.now(UTC)
        assert float(said[2]) > 0
        versions = dict(pair.split() for pair in said[4].split(", "))
        assert versions.pop("python") == platform.python_version()
        assert versions == {name: version(name) for name in versions}
        imported = re.findall(r"(?m)^(?:import|from) (\w+)", written.source)
        reported = {"arviz", "jax", "matplotlib", "numpy", "numpyro", "scipy"}
        assert reported.intersection(imported) <= versions.keys()


# House rules of the sources

INDEX = (DOCS / "index.md").read_text()
REMOVED = {"remove-cell", "remove-output"}
SHOWN = {"hide-input", "raises-exception", "table", "wrap"}
DIRECTIVES = r"(?m)^ *(?:`{3,}|:{3,}|:[\w-]+:|\([\w-]+\)=|#+ |%).*$"


def prose(cell):
    """Return what is read as running text, without code, maths and addresses."""
    if cell.cell_type == "code":
        options = cell.metadata.get("mystnb", {})
        caption = options.get("figure", {}).get("caption", "")
        return re.sub(r"\$.*?\$", "", caption + options.get("image", {}).get("alt", ""))
    text = re.sub(r"(?ms)^(`{3,})\w.*?^\1$|^\$\$.*?^\$\$", "", cell.source)
    text = re.sub(r"`[^`\n]+`|\$[^$\n]+\$|\]\(.*?\)|https?://\S+", "", text)
    return re.sub(DIRECTIVES, "", text)


def test_no_decimal_number_is_typed_into_prose(written):
    number = r"(?<!Python )(?<![\w.-])\d+\.\d.*"  # a Python version may be
    typed = [
        found for cell in written.cells for found in re.findall(number, prose(cell))
    ]
    assert not typed, "\n".join(typed)


def test_cells_are_small_and_have_known_tags(executed):
    for cell in executed.cells:
        assert tags(cell) <= SHOWN | REMOVED
    for cell in executed.shown:
        lines = [line for line in cell.source.splitlines() if line.strip()]
        assert len(lines) <= 12, cell.source
        assert max(map(len, lines)) <= 72, cell.source


def test_a_sentence_comes_before_each_cell(executed):
    said, cells = "", 0
    most = 2 if executed.name == "cheatsheet" else 1  # two stand side by side
    for cell in executed.cells:
        if cell.cell_type == "markdown":
            said = ("" if cells else said) + re.sub(DIRECTIVES, "", cell.source)
            cells = 0
        elif cell in executed.shown:
            cells += 1
            assert re.search(r"(?s)\w+\W+\w+.*[.:?!]", said), cell.source
            assert cells <= most, cell.source


ENDINGS = {"index": 0, "install": 1, "cheatsheet": 0, "troubleshooting": 0}  # not both


def test_chapters_open_and_close_alike(executed):
    text = executed.source.split("\n---\n", 1)[1].strip()
    ending = ["What to remember", "Exercises"][: ENDINGS.get(executed.name)]
    opening = "# " if executed.name == "index" else f"({executed.name})=\n# "
    assert text[: len(opening)] == opening
    if ending:  # what the reader can do afterwards, and what comes before
        _, promise, needs, _ = re.split(r"\n\n+", text.split("\n", 1)[1], maxsplit=3)
        assert promise.startswith("By the end of this page you ")
        assert needs.startswith("**You need first:** ")
        order = re.findall(r"(?m)^[a-z]+/([\w-]+)$", INDEX)  # of the toctrees
        earlier = order[: order.index(executed.name)]
        assert set(re.findall(r"\{ref\}`([\w-]+)`", needs)) <= set(earlier)
    headings = re.findall(r"(?m)^## (.+)$", text)
    assert headings[len(headings) - len(ending) :] == ending
    assert not set(headings[: len(headings) - len(ending)]) & set(ending)


def test_exercises_have_folded_solutions_that_assert(executed):
    exercises = re.findall(r"\{exercise\}(?:\n:label: (\S+))?", executed.source)
    solution = r"(?s)\{solution-start\} (\S+)\n:class: dropdown\n(.*?)\{solution-end\}"
    solutions = dict(re.findall(solution, executed.source))
    assert list(solutions) == exercises
    assert bool(exercises) == ("## Exercises\n" in executed.source)
    for label, text in solutions.items():
        cells = "".join(re.findall(r"(?s)```\{code-cell\}\n(.*?)```", text))
        assert re.search(r"(?m)^ *(?:assert|np\.testing\.assert_\w+)\b", cells), label


# The page of the package


def public():
    """Return the syntax tree of each public definition by its full name."""
    found = {}
    for file in sorted(SRC.rglob("[!_]*.py")):
        module = ".".join(file.relative_to(SRC).with_suffix("").parts)
        for node in ast.parse(file.read_text()).body:
            assigned = getattr(node, "targets", [getattr(node, "target", node)])
            for name in [getattr(n, "id", getattr(n, "name", "_")) for n in assigned]:
                if not name.startswith("_"):
                    found[f"{module}.{name}"] = node
    return found


PUBLIC = public()


@pytest.mark.parametrize("name", PUBLIC)
def test_api_page_lists_and_explains(name, pages):
    entry = pages["api"].soup.find("dt", id=name)
    assert entry, f"api.md does not list {name}"
    assert len(entry.find_next_sibling("dd").text.split()) > 3, f"{name}: no docstring"
    if isinstance(PUBLIC[name], ast.FunctionDef):
        _, _, example = (ast.get_docstring(PUBLIC[name]) or "").partition(
            "\nExample:\n"
        )
        assert ">>> " in example, f"{name}: no example"
