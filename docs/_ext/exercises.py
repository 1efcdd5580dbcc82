"""Two repairs of sphinx-exercise."""

from docutils import nodes


def unwrap(app, doctree):
    """Make the bodies of exercises plain containers.

    They come as sections without a title, all with the same id: invalid HTML,
    on which sphinx-codeautolink stumbles.
    """
    for section in list(doctree.findall(nodes.section)):
        if section["ids"] in (["exercise-content"], ["solution-content"]):
            body = nodes.container("", *section.children, classes=section["ids"])
            section.parent.replace(section, body)  # replace_self would keep the ids


def share_handlers(app):
    """Give the single-page builder what other extensions registered for HTML.

    Sphinx falls back to the handlers of HTML only where nobody registers any
    for the builder, and sphinx-exercise does.
    """
    handlers = app.registry.translation_handlers
    if "singlehtml" in handlers:
        handlers["singlehtml"] = {**handlers["html"], **handlers["singlehtml"]}


def setup(app):
    """Connect."""
    app.connect("builder-inited", share_handlers)
    app.connect("doctree-read", unwrap, priority=400)  # before codeautolink's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
