"""Make the bodies of exercises plain containers.

sphinx-exercise wraps them in sections without a title, all with the same id:
invalid HTML, on which sphinx-codeautolink stumbles.
"""

from docutils import nodes


def unwrap(app, doctree):
    """Turn each such section into a container with a class in place of the id."""
    for section in list(doctree.findall(nodes.section)):
        if section["ids"] in (["exercise-content"], ["solution-content"]):
            body = nodes.container("", *section.children, classes=section["ids"])
            section.replace_self(body)


def setup(app):
    """Connect."""
    app.connect("doctree-read", unwrap, priority=400)  # before codeautolink's 500
    return {"parallel_read_safe": True, "parallel_write_safe": True}
