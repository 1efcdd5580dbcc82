"""Close each executed page with when, how long and on what it was executed."""

import platform
from datetime import UTC, datetime
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

QUESTION = """
import json, sys
from importlib.metadata import version
names = [name for name in {names} if name in sys.modules]
device = sys.modules["jax"].devices()[0].device_kind if "jax" in sys.modules else None
versions = {{"python": sys.version.split()[0], **{{n: version(n) for n in names}}}}
print(json.dumps({{"versions": versions, "device": device}}))
"""


def question(names):
    """Write the cell that asks a kernel on what it ran, ``names`` among it."""
    return QUESTION.format(names=list(names))


def processor():
    """Name the processor: its model where the system tells it, else its kind."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    models = [line.split(":")[1].strip() for line in lines if "model name" in line]
    return (models or [platform.processor() or platform.machine()])[0]


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
    """Add their footers to the pages that stand together on one page."""
    if app.builder.name == "singlehtml":
        known = getattr(app.env, "provenance", {})
        for page in doctree.findall(addnodes.start_of_file):
            if data := known.get(page["docname"]):
                page += nodes.raw("", footer(data), format="html")


def setup(app):
    """Connect."""
    app.connect("html-page-context", add_footer)
    app.connect("doctree-resolved", add_footers)
