"""Close each executed page with when, how long and on what it was executed."""

from datetime import UTC, datetime
from html import escape

from docutils import nodes
from sphinx import addnodes


def when_and_on_what(data):
    """Return the time of an execution, and the versions in one line."""
    pairs = data["versions"].items()
    versions = [f"{name}\N{NO-BREAK SPACE}{number}" for name, number in pairs]
    return datetime.fromtimestamp(data["when"], UTC), ", ".join(versions)


def footer(data):
    """Render what the execution recorded."""
    when, versions = when_and_on_what(data)
    device = f" (JAX on {escape(data['device'])})" if data["device"] else ""
    return (
        f'<p class="provenance">Executed on <time datetime="{when:%Y-%m-%dT%H:%MZ}">'
        f"{when:%d %B %Y}</time> in {data['execution_seconds']:.1f} seconds on "
        f"{escape(data['processor'])}{device}, with {escape(versions)}.</p>\n"
    )


def add_footer(app, pagename, templatename, context, doctree):
    """Add the footer to an executed page."""
    data = getattr(app.env, "provenance", {}).get(pagename)
    if data and "body" in context and app.builder.name != "singlehtml":
        context["body"] += footer(data)


def add_footers(app, doctree, docname):
    """Add their footers to the chapters that stand together on one page."""
    if app.builder.name == "singlehtml":
        known = getattr(app.env, "provenance", {})
        for chapter in doctree.findall(addnodes.start_of_file):
            if data := known.get(chapter["docname"]):
                chapter += nodes.raw("", footer(data), format="html")


def setup(app):
    """Connect."""
    app.connect("html-page-context", add_footer)
    app.connect("doctree-resolved", add_footers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
