"""Draws kept on disk as they are made, so that an interrupted run can go on.

A folder holds ``settings.json``, which says what the run is of, and one file for each
step of it. A file appears whole or not at all: it is written under another name first.
"""

import hashlib
import json
import os
import re
import zlib
from importlib.metadata import version
from pathlib import Path
from zipfile import BadZipFile

import jax
import jax.numpy as jnp
import numpy as np

from jaxbayes import _density


def digest(*parts):
    """Digest texts and arrays."""
    found = hashlib.sha256()
    for part in parts:
        text = isinstance(part, str)
        found.update(part.encode() if text else np.ascontiguousarray(part).tobytes())
        found.update(b"|")
    return found.hexdigest()


def open_folder(name, density, arrays, settings):
    """Make the folder of a run, or make sure that it holds this very run.

    Raises:
        ValueError: if it holds another one, with what is different.
    """
    z = jnp.zeros(_density.size(density))
    program = jax.make_jaxpr(lambda a, z: _density.potential(density, a, z))(arrays, z)
    # str would color it in notebooks and terminals: another text of the same model
    text = re.sub("0x[0-9a-f]+", "", program.pretty_print(use_color=False))
    told = {
        "model": digest(text, *map(np.asarray, program.consts)),
        "data": digest(
            *(part for array in arrays for part in (str(array.shape), array))
        ),
        **settings,
        "versions": {name: version(name) for name in ("jax", "numpyro")},
    }
    folder = Path(name)
    file = folder / "settings.json"
    if file.exists():
        try:
            kept = json.loads(file.read_text())
        except ValueError:
            raise _damaged(file) from None
        other = [key for key in told if kept.get(key) != told[key]]
        if other:
            differ = ", ".join(
                f"another {key}"
                if key in ("model", "data", "start")
                else f"{key}={kept.get(key)}, not {told[key]}"
                for key in other
            )
            raise ValueError(
                f"checkpoint {str(folder)!r} holds a run with {differ}: choose "
                "another name, or delete the folder"
            )
    else:
        # what begins with a dot may be of a run killed before it wrote its settings
        if folder.is_file() or any(folder.glob("[!.]*")):
            raise ValueError(
                f"checkpoint must name a new folder, or one that holds a run, got "
                f"{str(folder)!r} with other files"
            )
        folder.mkdir(parents=True, exist_ok=True)
        write(file, lambda stream: stream.write(json.dumps(told, indent=1).encode()))
    return folder


def _damaged(file):
    return ValueError(
        f"checkpoint has a damaged file, {str(file)!r}: delete it, and the same call "
        "makes it again"
    )


def write(file, fill):
    """Write a file whole or not at all."""
    part = file.with_name(f".{file.name}.{os.getpid()}")
    with part.open("wb") as stream:
        fill(stream)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(file)


def is_key(leaf):
    """Tell whether a leaf is a key of JAX's random numbers."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def save(folder, name, *trees):
    """Save arrays by their places in trees."""
    if folder is None:
        return
    leaves = [v for tree in trees for v in jax.tree_util.tree_leaves_with_path(tree)]
    arrays = {
        jax.tree_util.keystr(path): np.asarray(
            jax.random.key_data(leaf) if is_key(leaf) else leaf
        )
        for path, leaf in leaves
    }
    write(folder / f"{name}.npz", lambda stream: np.savez(stream, **arrays))


def load(folder, name, state=None):
    """Load what was saved, or None: a dictionary, or a state like one and the draws."""
    file = folder and folder / f"{name}.npz"
    if not file or not file.exists():
        return None
    try:
        with file.open("rb") as stream, np.load(stream) as saved:
            arrays = dict(saved)
    except (OSError, EOFError, ValueError, BadZipFile, zlib.error):
        raise _damaged(file) from None
    if state is None:
        return {
            re.fullmatch(r"\['(.*)'\]", key)[1]: value for key, value in arrays.items()
        }

    def fill(path, leaf):
        array = arrays.pop(jax.tree_util.keystr(path))
        return jax.random.wrap_key_data(array) if is_key(leaf) else jnp.asarray(array)

    state = jax.tree_util.tree_map_with_path(fill, state)
    return state, {key[2:-2]: value for key, value in arrays.items()}
