"""The built pages, and the house rules of their sources."""

import ast
import platform
import re
import struct
from collections import Counter
from datetime import datetime
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

ROOT = Path(__file__).parents[2]
HTML = ROOT / "docs/_build/html"
HOSTED = "/en/latest/"  # 404.html is shown at any depth, so it names files from here
MATHJAX = "_static/mathjax/tex-svg-full.js"
TAGS = {"hide-input", "raises-exception", "remove-cell"}


# The pages and the links between them


def test_each_source_has_its_page_and_nothing_is_left_over(book):
    built = {
        file.relative_to(HTML).with_suffix("").as_posix()
        for file in HTML.rglob("*.html")
    }
    assert sorted(built - book.keys()) == [], "left over from an earlier build"
    assert sorted(book.keys() - built) == [], "not built"


def resolve(page, url):
    """Return the file and the fragment of an internal address, or None."""
    parts = urlsplit(url)
    if parts.scheme or parts.netloc:
        return None
    path = parts.path.removeprefix(HOSTED) if page.name == "404" else parts.path
    return (page.file.parent / path if path else page.file), unquote(parts.fragment)


def test_navigation_of_the_front_page_leads_to(written, book):
    index = book["index"]
    links = index.soup.select("nav.bd-links a[href], a.navbar-brand[href]")
    assert written.file in {resolve(index, link["href"])[0] for link in links}


def test_internal_links_resolve(page, book):
    dead = []
    for tag in page.soup.find_all(True):
        for attribute in ("href", "src", "action", "poster", "data"):
            found = attribute in tag.attrs and resolve(page, tag[attribute])
            if not found:
                continue
            file, fragment = found
            if not file.is_file() or (fragment and fragment not in book[file.stem].ids):
                dead.append(page.place(tag))
    assert dead == []


def test_ids_are_unique(page):
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []


def test_addresses_of_the_sitemap_resolve(book):
    canonical = book["index"].soup.find("link", rel="canonical")["href"]
    base = urljoin(canonical, ".")
    addresses = re.findall("<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text())
    assert addresses
    for address in addresses:
        assert address.startswith(base)
        assert (HTML / address.removeprefix(base)).is_file(), address


# Nothing comes from elsewhere

OUTSIDE = r"(?:https?:)?//"
IN_CSS = re.compile(rf"""url\(\s*["']?{OUTSIDE}[^)]*|@import\s*["']{OUTSIDE}[^;]*""")
NOT_LOADED = {"author", "canonical", "index", "license", "next", "prev", "search"}


def test_page_loads_nothing_from_outside(page):
    loads = []
    for tag in page.soup.find_all(True):
        if tag.name != "a" and not (
            tag.name == "link" and set(tag.get("rel", [])) <= NOT_LOADED
        ):
            addresses = [tag.get(key, "") for key in ("href", "src", "data", "poster")]
            addresses += tag.get("srcset", "").split(",")
            if any(re.match(OUTSIDE, address.strip()) for address in addresses):
                loads.append(page.place(tag))
        styles = tag.get("style", "") + (tag.get_text() if tag.name == "style" else "")
        loads += [
            f"{page.name}.html:{tag.sourceline}: {u}" for u in IN_CSS.findall(styles)
        ]
    assert loads == []


def test_style_sheets_load_nothing_from_outside():
    sheets = sorted(HTML.rglob("*.css"))
    assert HTML / "_static/book.css" in sheets
    assert [
        (s.name, url) for s in sheets for url in IN_CSS.findall(s.read_text())
    ] == []


def test_mathjax_is_loaded_where_there_is_maths(page):
    scripts = [tag["src"] for tag in page.soup.select("script[src]")]
    mathjax = [src.split("?")[0] for src in scripts if "mathjax" in src.lower()]
    assert mathjax == ([MATHJAX] if page.soup.select(".math") else [])


def test_mathjax_is_the_file_that_is_pinned():
    assert sha256((HTML / MATHJAX).read_bytes()).hexdigest().startswith("a4354ff9")


# Nothing went wrong on the way

LOCAL = r"(?<![\w.:/-])/(?:work|tmp|home|root)\b[^\s<]*|site-packages|ipykernel_"
PROGRESS = r"\d+%\|.*|\d(?:it/s|s/it)\b|[▏▎▍▌▋▊▉█]+|vnd\.jupyter\.widget"


def test_no_warnings_local_paths_or_progress_bars(written):
    wrong = written.soup.select(".stderr, .system-message, .problematic")
    assert [written.place(tag) for tag in wrong] == []
    assert re.findall(LOCAL, written.html) == []
    assert re.findall(PROGRESS, written.html) == []


def test_only_announced_tracebacks(written):
    announced = [
        c for c in written.shown if "raises-exception" in c.metadata.get("tags", [])
    ]
    shown = written.soup.select(".output.traceback")
    assert len(shown) == len(announced), [written.place(tag) for tag in shown]
    others = written.soup.select(".output:not(.traceback)")
    assert [written.place(tag) for tag in others if "Traceback" in tag.get_text()] == []


def test_roles_and_computed_numbers_came_through(written):
    source = written.source.read_text()
    pasted = [
        t.get_text() for t in written.article.select(".pasted-text, .pasted-inline")
    ]
    assert len(pasted) == len(re.findall(r"\{glue:?\w*\}`", source))
    assert "" not in map(str.strip, pasted)
    prose = [
        text
        for text in written.article.find_all(string=True)
        if not text.find_parent(["pre", "code", "script"])
        and not text.find_parent(class_="math")
    ]
    raw = re.compile(r"\{[a-z][a-z:-]*\}|glue:|\\[(\[]|^\s*:::")
    assert [text for text in prose if raw.search(text)] == []


# Figures


def test_images_are_described(written):
    for image in written.article.find_all("img"):
        alt = image.get("alt", "")
        computed = image.find_parent(class_="cell_output")
        assert len(alt) >= (40 if computed else 1), written.place(image)
        assert not re.fullmatch(r"\S*\.\w{3,4}", alt), written.place(image)


def test_computed_figures_are_numbered_captioned_and_referred_to(chapter):
    for image in chapter.article.select(".cell_output img"):
        figure = image.find_parent("figure", id=True)
        assert figure, f"no caption: {chapter.place(image)}"
        number = figure.select_one("figcaption .caption-number").get_text(strip=True)
        caption = figure.select_one("figcaption .caption-text").get_text(strip=True)
        assert re.fullmatch(r"Fig\. \d+", number)
        assert len(caption.split()) > 4, chapter.place(figure)
        links = chapter.article.select(f'a[href="#{figure["id"]}"] .std-numref')
        assert number in {link.get_text() for link in links}, (
            f"{number}, {figure['id']}, is not referred to in the text"
        )


def test_space_is_kept_for_images(chapter):
    for image in chapter.article.find_all("img"):
        file, _ = resolve(chapter, image["src"])
        width, height = struct.unpack(">II", file.read_bytes()[16:24])  # of a PNG
        assert {"width", "height"} <= image.attrs.keys(), chapter.place(image)
        kept = int(image["width"]) * height / width
        assert abs(kept - int(image["height"])) <= 1, chapter.place(image)


# Provenance


def test_executed_pages_say_when_and_on_what(written):
    footers = [tag.get_text() for tag in written.article.select("p.provenance")]
    if not written.shown:
        assert footers == []
        return
    (footer,) = footers
    said = re.fullmatch(
        r"Executed on (\d\d \w+ \d{4}) in (\d+\.\d) seconds on (.+), with (.+)\.\n?",
        footer,
    )
    assert said, footer
    assert datetime.strptime(said[1], "%d %B %Y") <= datetime.now()
    assert 0 < float(said[2]) < 600
    assert len(said[3]) > 3
    versions = dict(pair.split() for pair in said[4].split(", "))
    assert versions.pop("python") == platform.python_version()
    assert versions == {name: version(name) for name in versions}
    imports = set(re.findall(r"(?m)^(?:import|from) (\w+)", written.source.read_text()))
    assert imports & {"jax", "numpy", "scipy", "matplotlib"} <= versions.keys()


# House rules of the sources


def prose(cell):
    """Return what is read as running text: no code, maths, roles, addresses, options."""
    if cell.cell_type == "code":
        figure = cell.metadata.get("mystnb", {})
        text = "\n".join(
            [
                figure.get("figure", {}).get("caption", ""),
                figure.get("image", {}).get("alt", ""),
            ]
        )
    else:
        text = re.sub(r"(?ms)^(`{3,})\w.*?^\1$|^\$\$.*?^\$\$", "", cell.source)
    text = re.sub(
        r"\{[^}]*\}`[^`]*`|`[^`]*`|\$[^$]*\$|\]\([^)]*\)|https?://\S+", "", text
    )
    return re.sub(r"(?m)^ *(?:[:`(%]|#+ ).*$", "", text)


def test_no_decimal_number_is_typed_into_prose(written):
    number = re.compile(r"(?<!Python )(?<![\w.-])\d+\.\d+.*")  # but Python 3.12
    typed = [found for cell in written.cells for found in number.findall(prose(cell))]
    assert typed == []


def test_cells_are_small_and_tagged_as_allowed(chapter):
    for cell in chapter.cells:
        assert set(cell.metadata.get("tags", [])) <= TAGS, cell.source
    for cell in chapter.shown:
        lines = cell.source.splitlines()
        assert sum(map(bool, map(str.strip, lines))) <= 12, cell.source
        assert [line for line in lines if len(line) > 72] == []


def test_a_sentence_comes_before_each_cell(chapter):
    said = ""
    for cell in chapter.cells:
        if cell.cell_type == "markdown":
            said += re.sub(r"(?m)^ *(?:[:`(]|#+ ).*$", "", cell.source)
        elif cell in chapter.shown:
            assert re.search(r"(?s)\w+(?:\W+\w+){2}.*[.:?!]", said), cell.source
            said = ""


def test_chapters_open_and_close_alike(chapter):
    if chapter.name == "index":
        return
    text = "\n".join(c.source for c in chapter.cells if c.cell_type == "markdown")
    assert text.startswith(f"({chapter.name})=\n# ")
    ending = ["What to remember", "Exercises"][: 1 if chapter.name == "install" else 2]
    assert re.findall(r"(?m)^## (.+)", text)[-len(ending) :] == ending


def test_each_exercise_has_a_solution_that_is_folded_and_asserts(chapter):
    exercises, checks, inside = [], {}, None
    for cell in chapter.cells:
        if cell.cell_type == "code" and inside:
            checks[inside] += re.findall(
                r"(?m)^ *(?:assert\b|np\.testing\.assert_)", cell.source
            )
            continue
        exercises += re.findall(r"\{exercise\}\n:label: (\S+)", cell.source)
        for start, _ in re.findall(
            r"\{solution-start\} (\S+)\n:class: dropdown\n|(\{solution-end\})",
            cell.source,
        ):
            inside = start
            checks.update({start: []} if start else {})
    assert sorted(checks) == sorted(exercises)
    assert [label for label, found in checks.items() if not found] == []
    assert bool(exercises) == (chapter.name not in ("index", "install"))


# The page of the package


def public():
    """Yield the module, the name and the syntax tree of all that is public."""
    for file in sorted((ROOT / "src").rglob("*.py")):
        module = ".".join(file.relative_to(ROOT / "src").with_suffix("").parts)
        for node in ast.parse(file.read_text()).body:
            names = [
                t.id for t in getattr(node, "targets", []) if isinstance(t, ast.Name)
            ]
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            for name in names:
                if not name.startswith("_"):
                    yield pytest.param(f"{module}.{name}", node, id=f"{module}.{name}")


@pytest.mark.parametrize(("name", "node"), [*public()])
def test_api_page_lists_and_explains(name, node, book):
    entry = book["api"].soup.find("dt", id=name)
    assert entry, f"api.md does not list {name}"
    assert len(entry.find_next_sibling("dd").get_text(" ").split()) > 3
    if isinstance(node, ast.FunctionDef):
        example = (ast.get_docstring(node) or "").partition("Example:\n")[2]
        assert ">>> " in example, f"{name} has no example"
