"""Write a resolved page as the plain Markdown that notebooks show.

Roles and directives are gone by then: references are links, numbers are text.
"""

import re
from functools import partial
from urllib.parse import urljoin

from docutils import nodes

CELL = re.compile(r"\n*\0(\d+)\0\n*")  # stands in the text for a code cell
MARKS = dict.fromkeys(("strong", "term", "rubric", "sd_tab_label"), "**")
MARKS["emphasis"] = "*"
LABELS = {"figure": "Fig.", "table": "Table", "exercise": "Exercise"}
HEADED = "section", "exercise_node", "exercise_enumerable_node", "solution_node"


def hang(text, first, rest=""):
    """Begin a text with ``first``, and its other lines with ``rest`` or as far in."""
    return first + text.replace("\n", "\n" + (rest or " " * len(first)))


def depth(node):
    """Count the headings down to a node."""
    return (depth(node.parent) if node.parent else 0) + (node.tagname in HEADED)


def label(node, numbers):
    """Return what the page calls a figure, a table or an exercise."""
    named = [(kind, name) for kind in LABELS for name in node["ids"]]
    found = [(kind, numbers.get(kind, {}).get(name)) for kind, name in named]
    return "".join(f"{LABELS[k]} {'.'.join(map(str, n))}" for k, n in found if n)


def table(rows):
    """Write a table, whose first row is its head."""

    def one_line(cell):
        cell = re.sub(r"\$[^$]+\$", lambda tex: tex[0].replace("|", r"\vert "), cell)
        return re.sub(r"\n+", "<br>", cell.replace("|", r"\|"))

    head, *body = ["| " + " | ".join(map(one_line, row)) + " |" for row in rows]
    return "\n".join([head, "| --- " * len(rows[0]) + "|", *body])


def to_markdown(node, numbers, address=None):
    """Write a node; links start from ``address``, and without one they are text.

    ``numbers`` are those of the page's figures, tables and exercises.
    """
    write = partial(to_markdown, numbers=numbers, address=address)
    text = node.astext()
    parts = [part for child in node.children if (part := write(child))]
    match node:
        case nodes.raw() | nodes.Invisible():
            return ""
        case nodes.Text():
            if "bibtex-citation" in node.parent.get("classes", []):
                text = text.replace("[", "(").replace("]", ")")
            return re.sub(r"([\\`*_$<])", r"\\\1", re.sub(r"\s*\n\s*", " ", text))
        case nodes.literal():
            return f"`` {text} ``" if "`" in text else f"`{text}`"
        case nodes.math():
            return f"${text}$"
        case nodes.math_block():
            if node.get("no-wrap", node.get("nowrap")):
                return text
            tex = rf"\begin{{split}}{text}\end{{split}}" if r"\\" in text else text
            return f"$$\n{tex}\n$$"
        case nodes.literal_block():
            return f"```{node.get('language', '')}\n{text.strip()}\n```"
        case nodes.image():
            place = address and urljoin(address, node["uri"])
            return f"![{node['alt']}]({place})" if place else f"({node['alt']})"
        case nodes.Element() if "sd-card-title" in node["classes"]:
            return f"**{text}**"
        case nodes.reference() if node.next_node(nodes.image):
            return "".join(parts)
        case nodes.reference() if (
            address and {"refuri", "refid"} & node.attributes.keys()
        ):
            target = node.get("refuri") or f"#{node['refid']}"
            return f"[{''.join(parts)}]({urljoin(address, target)})"
        case nodes.inline() if "std-ref" in node["classes"] and not address:
            return f"*{''.join(parts)}*"
        case nodes.container() if node.get("nb_element") == "cell_code":
            captions = map(write, node.findall(nodes.caption))
            return "\n\n".join([f"\0{node['cell_index']}\0", *captions])
        case nodes.title() if node.parent.tagname in HEADED:
            inside = "".join(to_markdown(child, numbers) for child in node.children)
            return f"{'#' * depth(node)} {inside or label(node.parent, numbers)}"
        case nodes.title() | nodes.caption():
            inside = re.sub(r"\s+", " ", "".join(parts))
            return f"**{label(node.parent, numbers)}** {inside}"
        case nodes.enumerated_list() | nodes.bullet_list():
            dots = isinstance(node, nodes.enumerated_list)
            marks = [f"{i}. " if dots else "- " for i in range(1, len(parts) + 1)]
            items = map(hang, parts, marks)
            return ("\n\n" if any("\n" in part for part in parts) else "\n").join(items)
        case nodes.definition_list_item():
            return hang(": ".join(parts), "- ")
        case nodes.Admonition() if node.tagname not in HEADED:
            named = isinstance(node, nodes.admonition)
            name = [] if named else [f"**{node.tagname.title()}**"]
            return hang("\n\n".join([*name, *parts]), "> ", "> ")
        case nodes.block_quote():
            return hang("\n\n".join(parts), "> ", "> ")
        case nodes.table():
            rows = [list(map(write, row.children)) for row in node.findall(nodes.row)]
            head = [] if node.next_node(nodes.thead) else [[""] * len(rows[0])]
            titles = [write(t) for t in node.children if isinstance(t, nodes.title)]
            return "\n\n".join([*titles, table(head + rows)])
        case nodes.TextElement():
            mark = MARKS.get(node.tagname, "")
            return f"{mark}{''.join(parts)}{mark}"
        case _:
            return "\n\n".join(parts)
