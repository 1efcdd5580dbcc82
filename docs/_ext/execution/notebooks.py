"""A page as the notebook that is executed."""

from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook

from .freshness import add_dependencies


def read(env, docname):
    """Read a page as MyST-NB will, or return None if it is no notebook."""
    text = env.doc2path(docname).read_text()
    if not is_myst_markdown_notebook(text):
        return None
    text, _ = add_dependencies(env, docname, text)
    return read_myst_markdown_notebook(text, env.myst_config, add_source_map=True)
