"""Tell MyST-NB's cache, and Sphinx, what each notebook depends on.

The cache's key covers a notebook's cells and its kernelspec. So the digest of
all else that its outputs come from is written into the kernelspec.
"""

import platform
import re
from importlib.metadata import version
from pathlib import Path

from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.errors import ExtensionError

from .dependencies import digest, named, reached

OURS = [Path(__file__).with_name(name) for name in ("run.py", "figures.py")]


def settings(srcdir, config):
    """List the files on which every notebook depends."""
    return [*(Path(srcdir, name) for name in config.execution_settings), *OURS]


def environment(srcdir, config):
    """Digest the interpreter, the installed versions and the settings."""
    versions = [f"{name} {version(name)}" for name in config.execution_packages]
    variables = [
        f"{name}={value}".replace(str(srcdir), "")  # the same wherever the book is
        for name, value in config.execution_environment.items()
    ]
    interpreter = platform.python_version(), platform.machine()
    texts = *interpreter, *versions, *variables, *config.execution_versions_shown
    return digest(settings(srcdir, config), *texts)


def with_dependencies(text, folder, roots, common):
    """Write the digest of what a notebook depends on into its kernelspec.

    Args:
        text: of a page in ``folder``.
        folder: where its cells run.
        roots: the folders of the packages that are followed.
        common: a digest of what all notebooks depend on.

    Returns:
        The new text, with no new line, and the files that this page depends on.
    """
    cells = read_myst_markdown_notebook(text).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    files = reached(sources, roots) | named(sources, folder)
    text, found = re.subn(
        r"(?m)^( +display_name: .*\S)[ \t]*$",
        rf"\1 {digest(files, common)}",
        text,
        count=1,
    )
    if not found:
        raise ExtensionError("a notebook's kernelspec must have a display_name")
    return text, files


def add_dependencies(env, docname, text):
    """Do so for a page of the book."""
    folder = Path(env.doc2path(docname)).parent
    roots = [Path(env.srcdir, root) for root in env.config.execution_source_roots]
    return with_dependencies(text, folder, roots, env.config.execution_digest)


def tell(app, docname, content):
    """Give MyST-NB the text that was executed, and Sphinx the files behind it."""
    if is_myst_markdown_notebook(content[0]):
        content[0], files = add_dependencies(app.env, docname, content[0])
        for file in (*files, *settings(app.srcdir, app.config)):
            app.env.note_dependency(file)


def digest_environment(app, config):
    """Have every page read again when what all notebooks depend on changes."""
    config.execution_digest = environment(app.srcdir, config)


def setup(app):
    """Connect."""
    app.add_config_value("execution_digest", "", "env", str)
    app.connect("config-inited", digest_environment)
    app.connect("source-read", tell)
