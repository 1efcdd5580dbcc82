"""An e-book that readers accept: Sphinx's, mended where EPUBCheck complains.

Works around Sphinx, which declares no formulas and links style sheets that an
e-book lacks; sphinx-design, whose tabs are no XHTML; and MyST-NB, whose folded
cells have titles for two states.
"""

import re

from sphinx.builders.epub3 import Epub3Builder
from sphinx_design.tabs import TabSetHtmlTransform

STYLES = "_static/pygments.css", "_static/epub.css", "_static/book.css"
XHTML = 'media-type="application/xhtml+xml"'


class Builder(Epub3Builder):
    """Sphinx's builder, which does not declare that pages hold formulas."""

    def build_content(self):
        """Write the list of files, and mark those with maths in it."""
        super().build_content()
        path = self.outdir / "content.opf"
        text = path.read_text()
        for name in self.files:
            if name.endswith(".xhtml") and "<math" in (self.outdir / name).read_text():
                item = f'href="{name}" {XHTML}'
                text = text.replace(item, f'{item} properties="mathml"')
        path.write_text(text)


def leave_out_tabs(app):
    """Keep tabs as the paragraphs that they were; they are no XHTML."""
    if app.builder.name == "epub":
        app.registry.post_transforms.remove(TabSetHtmlTransform)


def simplify(app, pagename, templatename, context, doctree):
    """Keep the style sheets that an e-book has, and plain titles of folded cells."""
    if app.builder.name == "epub":
        styles = context["css_files"]
        context["css_files"] = [s for s in styles if s.filename in STYLES]
        if "body" in context:
            context["body"] = re.sub(
                "<summary.*?</summary>",
                "<summary>Code</summary>",
                context["body"],
                flags=re.DOTALL,
            )


def setup(app):
    """Connect."""
    app.add_builder(Builder, override=True)
    app.connect("builder-inited", leave_out_tabs)
    app.connect("html-page-context", simplify, priority=900)
