"""What a first visit to a page transfers, compressed as web servers do."""

import gzip
import re
from collections import Counter
from contextlib import closing
from functools import cache
from urllib.parse import urlsplit

import pytest
from conftest import HOSTED, HTML, Visit, new_context
from PIL import Image

LIMITS = {"with maths": 1_500_000, "without": 800_000}  # bytes
COMPRESSED = ".css", ".html", ".js", ".svg"  # images and fonts are so already


@cache
def weight(file):
    """Count the bytes that a server sends for a file."""
    data = file.read_bytes()
    return len(gzip.compress(data, 6) if file.suffix in COMPRESSED else data)


def test_each_icon_has_its_shape(page):
    styles = (HTML / "_static/icons.css").read_text()
    icons = page.soup.select(":is(.fa-solid, .fas, .fab)")
    assert icons
    for icon in icons:
        assert any(re.search(rf"\.{name}[ ,]", styles) for name in icon["class"]), icon


def test_figures_have_a_palette(executed):
    for tag in executed.article.select("img[src*=_images]"):
        with Image.open(executed.resolve(tag["src"])[0]) as image:
            assert image.mode == "P", executed.place(tag)


@pytest.fixture
def loaded(page, browser, site):
    """Load a page with an empty cache; return the files that it asked for."""
    asked = []
    with new_context(browser) as context:
        context.on("request", lambda request: asked.append(request.url))
        with closing(Visit(context, f"{site}{page.address}")) as visit:
            images = visit.tab.locator("img").evaluate_all("all => all.map(i => i.src)")
            visit.tab.wait_for_load_state("networkidle")
    paths = {urlsplit(url).path for url in asked + images if url.startswith("http")}
    return {HTML / path.removeprefix(HOSTED) for path in paths}


def test_page_is_light(page, loaded):
    kinds = Counter()
    for file in loaded:
        own = "maths" if "mathjax" in file.parts else file.suffix
        kinds[own] += weight(file)
    total = kinds.total()
    print(f"{page.name:<12} {total:>9,}", *(f"{k} {n:,}" for k, n in kinds.items()))
    assert page.file in loaded
    limit = LIMITS["with maths" if kinds["maths"] else "without"]
    files = sorted(loaded, key=weight, reverse=True)
    heaviest = "\n".join(f"{weight(f):>9,} {f.relative_to(HTML)}" for f in files[:6])
    assert total <= limit, f"{total:,} bytes, of them\n{heaviest}"
