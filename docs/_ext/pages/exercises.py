"""Exercises and solutions in valid HTML, on one page too.

Works around three faults of sphinx-exercise; each function says which.
"""

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


def move_space(app, doctree, docname):
    """Move the space before "Exercise 1" out of the link, which underlines it."""
    for link in doctree.findall(nodes.reference):
        text = next(link.findall(nodes.Text), "")
        if text.startswith(" "):
            link.parent.insert(link.parent.index(link), nodes.Text(" "))
            text.parent.replace(text, nodes.Text(text.lstrip()))


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
    app.connect("doctree-resolved", move_space, priority=900)
