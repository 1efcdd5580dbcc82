"""Let a reader take a chapter away: as a notebook, as a script, to Colab.

Both files hold the cells that the page shows, and its prose as plain Markdown.
"""

from pathlib import Path, PurePosixPath
from urllib.parse import urljoin, urlsplit

from jupyter_cache import get_cache

from ..execution.notebooks import read
from ..execution.provenance import when_and_on_what
from ..files import write
from .formats import notebook, script
from .markdown import CELL, to_markdown

FOLDER = "notebooks"  # of the site; and the branch that Colab opens
COLAB = "https://colab.research.google.com/github"


def file_name(docname):
    """Name a chapter's files after the last part of its document's name."""
    return f"jaxbayes-{PurePosixPath(docname).name}"


def facts(config, docname, data):
    """Gather what both files say about where they come from."""
    when, versions = when_and_on_what(data)
    return {
        "book": config.project,
        "address": urljoin(config.html_baseurl, f"{docname}.html"),
        "ran": f"Executed on {when:%d %B %Y} with {versions}.",
        "requirements": urljoin(config.html_baseurl, "_static/requirements.txt"),
    }


def pieces(doctree, cells, *how):
    """Cut a page into its title and what follows, texts and code cells."""
    text = to_markdown(doctree, *how).strip()
    title, _, text = text.removeprefix("# ").partition("\n\n")
    cut = CELL.split(text)
    return title, [cells[int(p)] if i % 2 else p for i, p in enumerate(cut) if p]


def write_files(app, docname, doctree):
    """Write a chapter's notebook and script."""
    cache = get_cache(app.config.nb_execution_cache_path)
    _, executed = cache.merge_match_into_notebook(read(app.env, docname))
    numbers = app.env.toc_fignumbers.get(docname, {})
    about = facts(app.config, docname, app.env.provenance[docname])
    file = Path(app.outdir, FOLDER, file_name(docname))
    linked = pieces(doctree, executed.cells, numbers, about["address"])
    write(file.with_suffix(".ipynb"), notebook(*linked, **about))
    plain = pieces(doctree, executed.cells, numbers)
    write(file.with_suffix(".py"), script(*plain, **about))


def add_menu(app, pagename, templatename, context, doctree):
    """Write an executed page's files, and put a menu with them into its header."""
    if app.builder.name != "html" or pagename not in app.env.provenance:
        return
    write_files(app, pagename, doctree)
    name = file_name(pagename)
    repository = urlsplit(context["theme_repository_url"]).path
    local = context["pathto"](f"{FOLDER}/{name}", 1)
    colab = f"{COLAB}{repository}/blob/{FOLDER}/{name}.ipynb"
    links = [  # take-away.js adds a button
        ("Notebook (.ipynb)", "download-notebook", f"{local}.ipynb"),
        ("Script (.py)", "download-script", f"{local}.py"),
        ("Open in Colab", "colab", colab),
    ]
    buttons = [
        {"type": "link", "text": text, "label": label, "url": url}
        for text, label, url in links
    ]
    menu = {
        "type": "group",
        "tooltip": "Take this page away",
        "label": "take-away",
        "icon": "fas fa-download",
        "buttons": buttons,
    }
    context["header_buttons"].insert(0, menu)
    app.add_js_file("take-away.js", loading_method="defer", priority=900)


def remove_left_over(app, exception):
    """Delete the files of chapters that are gone."""
    if not exception and app.builder.name == "html":
        names = set(map(file_name, app.env.provenance))
        for file in Path(app.outdir, FOLDER).glob("jaxbayes-*"):
            if file.stem not in names:
                file.unlink()


def setup(app):
    """Connect, after the theme has made its own buttons."""
    app.connect("html-page-context", add_menu, priority=502)
    app.connect("build-finished", remove_left_over)
