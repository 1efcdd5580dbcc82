"""What search engines and social media are told."""

import re
from urllib.parse import urljoin

from conftest import DOCS, HOSTED, HTML, WRITTEN
from PIL import Image


def told(page):
    """Return what the head of a page says, by name."""
    tags = page.soup.head.find_all("meta", content=True)
    return {tag.get("property") or tag.get("name"): tag["content"] for tag in tags}


def test_title_names_the_page_and_the_book(page):
    title = page.soup.title.get_text()
    assert title.count("Bayesian Inference in JAX") == 1
    assert page.name == "index" or title != "Bayesian Inference in JAX"
    assert page.soup.html["lang"] == "en"


def test_description_is_a_sentence_of_the_page(written):
    text = told(written)["description"]
    assert 40 < len(text) < 220
    assert re.match(r"[A-Z`j].+[.?!]$", text)
    assert not re.search(r"[\\$]|\[.*\d{4}\]", text), text
    assert told(written)["og:description"] == text
    first = written.article.find("p").get_text()
    assert " ".join(first.split())[:30] == text[:30]


def test_descriptions_and_titles_differ():
    for key in ("description", "og:title"):
        assert len({told(page)[key] for page in WRITTEN}) == len(WRITTEN)


def test_card_is_the_first_figure_or_the_default(written):
    canonical = written.soup.find("link", rel="canonical")["href"]
    base = canonical.removesuffix(written.address)
    said = told(written)
    assert said["og:url"] == canonical == f"{base}{written.address}"
    assert base.endswith(HOSTED)
    assert said["twitter:card"] == "summary_large_image"
    assert len(said["og:image:alt"]) > 40
    card = HTML / said["og:image"].removeprefix(base)
    figure = written.article.find("img", src=True)
    default = HTML / "_static/posterior.png"
    assert card == (written.resolve(figure["src"])[0] if figure else default)
    with Image.open(card) as image:
        assert min(image.size) >= 315  # what social media ask for
    assert card.stat().st_size < 300_000


def test_sitemap_lists_every_page(pages):
    home = pages["index"].soup.find("link", rel="canonical")["href"]
    addresses = re.findall("<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text())
    assert addresses == [urljoin(home, page.address) for page in WRITTEN]


def test_icon_is_there(page):
    href = page.soup.find("link", rel="icon")["href"]
    assert href.endswith("_static/favicon.svg")
    assert (DOCS / "_static/favicon.svg").exists()


def test_page_not_found_leads_back(pages):
    article = pages["404"].article
    assert "not found" in article.h1.get_text().lower()
    links = [link["href"] for link in article.find_all("a", href=True)]
    assert "/en/latest/index.html" in links
