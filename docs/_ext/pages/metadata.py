"""What search engines and social media show of a page, and the map of the site.

The first sentence of a page is its description, its first figure its card.
"""

import re
from html import escape
from pathlib import Path

from docutils import nodes

CARD = "_static/posterior.png"  # of the pages without a figure
CARD_SHOWS = "Noisy points form one lopsided peak: the sum of two Gaussians."


def first_sentence(doctree):
    """Return the first sentence of the first paragraph, without its citations."""
    text = " ".join(next(doctree.findall(nodes.paragraph)).astext().split())
    text = re.split(r"(?<=[.?!]) ", re.sub(r" \[[^]]*\d{4}\]", "", text))[0]
    return re.sub(r":$", ".", text)


def card(doctree):
    """Return the site's address of a page's first figure, and what it shows."""
    for image in doctree.findall(nodes.image):
        if found := re.fullmatch(r"(?:\.\./)*(_images/.+)", image["uri"]):
            return found[1], image["alt"].strip()
    return CARD, CARD_SHOWS


def describe(app, pagename, templatename, context, doctree):
    """Hand the description and the card to sphinxext-opengraph."""
    if doctree and app.builder.name == "html":
        text = first_sentence(doctree)
        image, shows = card(doctree)
        told = {"description": text, "image": image, "image:alt": shows}
        told = {f"og:{key}": escape(text, quote=False) for key, text in told.items()}
        context["meta"] = {**(context["meta"] or {}), **told}
        context["metatags"] += f'<meta name="description" content="{escape(text)}" />\n'


def write_sitemap(app, exception):
    """List every page, also those that this build had not to write again."""
    if not exception and app.builder.name == "html":
        names = sorted(app.env.found_docs)
        addresses = [
            f"<url><loc>{escape(app.config.html_baseurl)}{name}.html</loc></url>\n"
            for name in names
        ]
        Path(app.outdir, "sitemap.xml").write_text(
            '<?xml version="1.0" encoding="utf-8"?>\n'
            '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">\n'
            f"{''.join(addresses)}</urlset>\n"
        )


def setup(app):
    """Connect."""
    app.connect("html-page-context", describe, priority=400)  # opengraph has 500
    app.connect("build-finished", write_sitemap)
