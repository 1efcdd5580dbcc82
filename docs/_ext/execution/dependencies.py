"""What a notebook's outputs depend on, as one digest.

MyST-NB's cache sees a notebook's cells but not the packages they import. Here the
cells' imports from the given folders are followed through those packages' own
imports, and the sources of every module reached are digested.
"""

import ast
import hashlib
import os
from pathlib import Path

from IPython.core.inputtransformer2 import TransformerManager

plain_python = TransformerManager().transform_cell  # cells may hold magics


def imported(tree, package):
    """Yield every dotted name that a syntax tree imports, made absolute.

    ``package`` is the dotted name of the package that the code lives in, for
    relative imports. ``from a import b`` yields both ``a`` and ``a.b``, which
    may or may not be a module.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")
            parents = parents[: len(parents) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def source_file(module, roots):
    """Return the file of a dotted module name below one of ``roots``, or None."""
    paths = [Path(root, *module.split(".")) for root in roots]
    candidates = [
        file for path in paths for file in (path / "__init__.py", Path(f"{path}.py"))
    ]
    return next((file for file in candidates if file.is_file()), None)


def named(sources, folder):
    """Return the files outside of ``folder`` whose paths from there cells name.

    Such a record, as in ``open("../record.csv")``, is read. What lies in the
    folder itself may be what the cells wrote.
    """
    trees = [ast.walk(ast.parse(plain_python(source))) for source in sources]
    texts = [getattr(node, "value", None) for tree in trees for node in tree]
    paths = [
        os.path.join(folder, text)
        for text in texts
        if isinstance(text, str) and text.startswith("../")
    ]
    return {Path(path) for path in paths if os.path.isfile(path)}


def reached(sources, roots):
    """Return the files under ``roots`` that ``sources`` (texts) import, transitively.

    Importing ``a.b.c`` runs ``a`` and ``a.b`` too, so their files count.
    """
    todo = [(plain_python(source), "") for source in sources]
    files = set()
    while todo:
        source, package = todo.pop()
        for name in imported(ast.parse(source), package):
            parts = name.split(".")
            for depth in range(1, len(parts) + 1):
                module = ".".join(parts[:depth])
                file = source_file(module, roots)
                if file and file not in files:
                    files.add(file)
                    inside = (
                        module
                        if file.name == "__init__.py"
                        else ".".join(parts[: depth - 1])
                    )
                    todo.append((file.read_text(), inside))
    return files


def digest(files, *texts):
    """Digest the contents of files, whatever their order and place, and texts."""
    parts = sorted(Path(file).read_bytes() for file in files)
    parts += [text.encode() for text in texts]
    return hashlib.sha256(
        b"\0".join(hashlib.sha256(p).digest() for p in parts)
    ).hexdigest()
