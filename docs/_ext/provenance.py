"""Close each executed page with when, how long and on what it was executed."""

from datetime import UTC, datetime
from html import escape


def footer(data):
    """Render what the execution recorded."""
    when = datetime.fromtimestamp(data["when"], UTC)
    versions = ", ".join(
        f"{name} {number}" for name, number in data["versions"].items()
    )
    device = f" (JAX on {escape(data['device'])})" if data["device"] else ""
    return (
        f'<p class="provenance">Executed on <time datetime="{when:%Y-%m-%dT%H:%MZ}">'
        f"{when:%d %B %Y}</time> in {data['execution_seconds']:.1f} seconds on "
        f"{escape(data['processor'])}{device}, with {escape(versions)}.</p>\n"
    )


def add_footer(app, pagename, templatename, context, doctree):
    """Add the footer to an executed page."""
    data = getattr(app.env, "provenance", {}).get(pagename)
    if data and "body" in context:
        context["body"] += footer(data)


def setup(app):
    """Connect."""
    app.connect("html-page-context", add_footer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
