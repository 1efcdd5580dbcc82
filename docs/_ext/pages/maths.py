"""Maths that is checked when built and shown without a network.

Works around Sphinx, which has MathJax loaded from another site, checks no formula,
draws pictures of them in e-books, and lets a line break before a comma. HTML pages
get MathJax from one file, copied out of an installed wheel; e-books get MathML; and
every formula must parse, or the build warns.
"""

import re
import shutil
from html import unescape
from importlib.metadata import distribution
from pathlib import Path
from xml.etree import ElementTree

from docutils import nodes
from math_core import LatexError, LatexToMathML
from sphinx.util import logging

FILE = "mathjax/tex-svg-full.js"
MATHML = "{http://www.w3.org/1998/Math/MathML}"
# what browsers take on any element, and e-books on mstyle alone
MISPLACED = {MATHML + "mfrac": "displaystyle", MATHML + "mtable": "scriptlevel"}
ElementTree.register_namespace("", MATHML.strip("{}"))
logger = logging.getLogger(__name__)


def copy_mathjax(app):
    """Put the file where ``mathjax_path`` says, or choose MathML for an e-book."""
    if app.builder.name == "epub":
        app.config.html_math_renderer = "mathml"
    elif app.builder.format == "html":
        wheel = distribution("sphinx-mathjax-offline")
        source = Path(wheel.locate_file(f"sphinx-mathjax-offline/static/{FILE}"))
        target = Path(app.outdir, "_static", FILE)
        if not target.exists() or target.stat().st_size != source.stat().st_size:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)


def to_mathml(tex, *, display):
    """Convert one formula; raises ``LatexError`` on what TeX would not take."""
    converter = LatexToMathML(xml_namespace=True, fancy_error=False)
    return converter.convert_with_local_state(tex, displaystyle=display)


def strict(mathml):
    """Keep to the MathML of e-books: no named characters, styles in ``mstyle``."""
    root = ElementTree.fromstring(re.sub(r"&(\w{3,});", named, mathml))  # noqa: S314
    for parent in list(root.iter()):
        for place, child in enumerate(parent):
            wrong = MISPLACED.get(child.tag)
            if wrong in child.attrib:
                style = {wrong: child.attrib.pop(wrong)}
                parent[place] = ElementTree.Element(MATHML + "mstyle", style)
                parent[place].append(child)
    return ElementTree.tostring(root, encoding="unicode")


def named(reference):
    """Replace a named character, unless it is one of XML's own."""
    own = "amp", "apos", "quot"
    return reference[0] if reference[1] in own else unescape(reference[0])


def lint(app, doctree):
    """Warn about each formula that cannot be parsed."""
    for node in doctree.findall(lambda n: isinstance(n, nodes.math | nodes.math_block)):
        try:
            to_mathml(node.astext(), display=isinstance(node, nodes.math_block))
        except LatexError as error:
            logger.warning("bad formula %r: %s", node.astext(), error, location=node)


def hold_together(app, doctree):
    """Keep what follows a formula without a space on its line."""
    for node in list(doctree.findall(nodes.math)):
        after = node.next_node(descend=False, siblings=True)
        glued = isinstance(after, nodes.Text) and re.match(r"[^\s\w]+", after)
        if glued and isinstance(node.parent, nodes.paragraph):
            held = nodes.inline("", "", classes=["held"])
            node.replace_self(held)
            held += [node, nodes.Text(glued[0])]
            after.parent.replace(after, nodes.Text(after[glued.end() :]))


def visit_inline(translator, node):
    """Write an inline formula."""
    translator.body.append(strict(to_mathml(node.astext(), display=False)))
    raise nodes.SkipNode


def visit_block(translator, node):
    """Write a displayed formula."""
    formula = strict(to_mathml(node.astext(), display=True))
    translator.body.append(f"<p>{formula}</p>")
    raise nodes.SkipNode


def setup(app):
    """Connect."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    app.connect("builder-inited", copy_mathjax)
    app.connect("doctree-read", lint)
    app.connect("doctree-read", hold_together)
