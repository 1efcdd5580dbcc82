"""A chapter as a notebook and as a script.

Both take the chapter's title, its body (texts in Markdown and executed code cells,
as they follow on the page), and what to say about where it comes from.
"""

import re
from textwrap import indent, wrap

import nbformat
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

KERNEL = {"name": "python3", "display_name": "Python 3", "language": "python"}
KEEP_WORDS = {"break_long_words": False, "break_on_hyphens": False}
INSTALL = """\
# Install what the book ran on, unless it is here already.
import sys
from importlib.util import find_spec

if find_spec("jaxbayes") is None:
    loaded = "numpy" in sys.modules
    %pip install --quiet -r {}
    if loaded:
        print("Restart the session now, then run this notebook from its first cell.")"""
FAILING = """\
try:
{}
except Exception as error:
    print(f"{{type(error).__name__}}: {{error}}")"""


def cleaned(cell, count):
    """Keep of an executed cell what a reader has a use for."""
    tags = {key: cell.metadata[key] for key in cell.metadata.keys() & {"tags"}}
    alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
    shown = "remove-output" not in tags.get("tags", [])
    outputs = cell.outputs if shown else []
    for output in outputs:
        if "execution_count" in output:
            output.execution_count = count
        if "image/png" in output.get("data", {}):
            output.metadata.setdefault("image/png", {})["alt"] = " ".join(alt.split())
    return new_code_cell(
        cell.source, execution_count=count, metadata=tags, outputs=outputs
    )


def notebook(title, body, *, book, address, ran, requirements):
    """Write a notebook that installs the ``requirements`` where they are missing."""
    cells = [
        new_markdown_cell(f"# {title}\n\nFrom [{book}]({address}). {ran}"),
        new_code_cell(INSTALL.format(requirements)),
    ]
    for part in body:
        if isinstance(part, str):
            cells.append(new_markdown_cell(part))
        else:
            count = sum(cell.cell_type == "code" for cell in cells)
            cells.append(cleaned(part, count))
    for i, cell in enumerate(cells):
        cell.id = f"cell-{i}"
    metadata = {"kernelspec": KERNEL, "language_info": {"name": "python"}}
    return nbformat.writes(new_notebook(cells=cells, metadata=metadata)) + "\n"


def comment(text):
    """Write Markdown as comments in lines of at most 79 columns, save for tables."""
    lines, fenced = [], False
    for line in text.splitlines():
        fenced ^= line.lstrip().startswith("```")
        if fenced or line.startswith("|") or not line:
            lines.append(line)
        else:
            start = re.match(r" *(?:- |\d+\. |> )?", line)[0]
            rest = start if ">" in start else " " * len(start)
            lines += wrap(line, 77, subsequent_indent=rest, **KEEP_WORDS)
    return "\n".join(f"# {line}".rstrip() for line in lines)


def script(title, body, *, book, address, ran, requirements):
    """Write a script in the percent format, which editors run cell by cell."""
    about = f"{title}\n\nFrom {book},\n{address}\n{ran}\nTo install what it ran on:"
    parts = [f"{comment(about)}\n#     python -m pip install -r {requirements}"]
    for part in body:
        if isinstance(part, str):
            parts.append(f"# %% [markdown]\n{comment(part)}")
        elif "raises-exception" in part.metadata.get("tags", []):
            parts.append(f"# %%\n{FAILING.format(indent(part.source, '    '))}")
        else:
            parts.append(f"# %%\n{part.source}")
    if any("import matplotlib.pyplot as plt" in part for part in parts):
        parts.append("# %%\nplt.show()")
    return "\n\n".join(parts) + "\n"
