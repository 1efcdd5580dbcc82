"""No page without a source.

Works around Sphinx, which leaves the page of a source that is gone where it was.
"""

from pathlib import Path


def remove_left_over(app, exception):
    """Delete the pages whose sources are gone."""
    if not exception and app.builder.name == "html":
        names = {*app.env.found_docs, "404", "genindex", "search"}
        kept = {Path(app.outdir, f"{name}.html") for name in names}
        static = Path(app.outdir, "_static")
        for page in set(Path(app.outdir).rglob("*.html")) - kept:
            if static not in page.parents:
                page.unlink()


def setup(app):
    """Connect."""
    app.connect("build-finished", remove_left_over)
