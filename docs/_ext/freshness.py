"""Tell MyST-NB's cache, and Sphinx, what each chapter depends on.

The cache's key covers a notebook's cells and its kernelspec. So the digest of
all else that a chapter's numbers come from is written into the kernelspec.
"""

import platform
import re
from importlib.metadata import version
from pathlib import Path

from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from sphinx.errors import ExtensionError

from .dependencies import digest, reached

HERE = Path(__file__).parents[1]
ROOT = HERE.parent
RUNTIME = (
    *("jax", "jaxlib", "numpyro", "numpy", "scipy"),
    *("arviz", "corner", "matplotlib", "ipykernel"),
)
SETTINGS = [
    ROOT / "requirements.txt",
    HERE / "matplotlibrc",
    HERE / "_ipython/profile_default/ipython_kernel_config.py",
    HERE / "_ext/execution.py",  # the kernels' environment
    HERE / "_ext/figures.py",
]


def environment():
    """Digest the interpreter, the pins, the installed versions and the settings."""
    versions = [f"{name} {version(name)}" for name in RUNTIME]
    return digest(SETTINGS, platform.python_version(), platform.machine(), *versions)


def with_dependencies(text):
    """Write the digest of what a chapter depends on into its kernelspec.

    Returns the new text and the files that it depends on.
    """
    cells = read_myst_markdown_notebook(text).cells
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    files = reached(sources, ROOT / "src")
    named = re.findall(r'"(\.\./[^"]+)"', "\n".join(sources))
    files |= {HERE / name for name in named}  # records that a cell reads
    name = f"display_name: Python 3 {digest(files, environment())}"  # no new line
    text, found = re.subn("display_name: Python 3$", name, text, count=1, flags=re.M)
    if not found:
        raise ExtensionError("a chapter's kernelspec must say 'display_name: Python 3'")
    return text, [*files, *SETTINGS]


def add_dependencies(app, docname, content):
    """Give MyST-NB the text that was executed, and Sphinx the files behind it."""
    if is_myst_markdown_notebook(content[0]):
        content[0], files = with_dependencies(content[0])
        for file in files:
            app.env.note_dependency(file)


def setup(app):
    """Have every page read again when the installed versions or these files change."""
    machinery = digest(HERE.glob("_ext/*.py"))
    app.add_config_value("execution_environment", environment(), "env", str)
    app.add_config_value("machinery", machinery, "env", str)
    app.connect("source-read", add_dependencies)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
