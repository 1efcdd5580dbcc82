"""Links that work where all chapters stand on one page.

Works around Sphinx, which leaves ``#document-chapter#place`` in the links between
chapters, and ids that several chapters share. Here each id gets the name of its
chapter, which is the last part of its document's name.
"""

import re
from pathlib import Path

from bs4 import BeautifulSoup

POINTERS = "aria-controls", "aria-describedby", "aria-labelledby", "for"


def target(href, chapter):
    """Return where a link leads that stands in ``chapter``, or outside of any."""
    if found := re.fullmatch("#document-(?:[^#]*/)?([^#/]+)#(.+)", href):
        return f"#{found[1]}-{found[2]}"
    inside = chapter and re.fullmatch("#(?!document-)(.+)", href)
    return f"#{chapter}-{inside[1]}" if inside else href


def name_places(soup):
    """Name each place after its chapter, and send the links there."""
    chapter = ""
    for tag in soup.find("article").find_all(True):
        if found := re.fullmatch("document-(?:.*/)?([^/]+)", tag.get("id", "")):
            chapter = found[1]
        elif chapter:
            for key in ("id", *POINTERS):
                if key in tag.attrs:
                    tag[key] = f"{chapter}-{tag[key]}"
        if "href" in tag.attrs:
            tag["href"] = target(tag["href"], chapter)
    for link in soup.find_all("a", href=True):
        link["href"] = target(link["href"], "")


def simplify(app):
    """Leave out what leads to other pages: the list of chapters and the search."""
    if app.builder.name == "singlehtml":
        app.config.html_sidebars = {"**": []}
        app.builder.theme_options["disable_search"] = True


def mend(app, exception):
    """Mend the page after everything else has been written."""
    if not exception and app.builder.name == "singlehtml":
        page = Path(app.outdir, "index.html")
        soup = BeautifulSoup(page.read_text(), "html.parser")
        name_places(soup)
        for tag in soup.select("script[src], link[rel=stylesheet], .primary-toggle"):
            file = tag.get("src") or tag.get("href")
            if not file or not Path(app.outdir, file.partition("?")[0]).exists():
                tag.decompose()  # of the search, and of the links in code
        page.write_text(str(soup))


def setup(app):
    """Connect."""
    app.connect("builder-inited", simplify)
    app.connect("build-finished", mend, priority=900)
