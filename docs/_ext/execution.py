"""Execute stale chapters, several at a time, before Sphinx reads any page.

MyST-NB then finds every chapter in its cache. One line a chapter is printed.
"""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client import AsyncKernelManager
from myst_nb.core.read import is_myst_markdown_notebook, read_myst_markdown_notebook
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .cache import open_cache, store
from .figures import shrink
from .freshness import with_dependencies

HERE = Path(__file__).parents[1]
KERNEL = {  # what every chapter's kernel inherits
    "IPYTHONDIR": str(HERE / "_ipython"),
    "MATPLOTLIBRC": str(HERE / "matplotlibrc"),
    "JAX_PLATFORMS": "cpu",
    "OPENBLAS_NUM_THREADS": "1",  # our matrices are small: its threads only wait
    "JAX_COMPILATION_CACHE_DIR": str(HERE / "_build/jax_cache"),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
PROVENANCE = """
import json, sys
from importlib.metadata import version
from jaxbayes.timing import processor
names = "jax", "numpyro", "numpy", "scipy", "arviz", "matplotlib"
names = [name for name in names if name in sys.modules]
device = sys.modules["jax"].devices()[0].device_kind if "jax" in names else None
versions = {"python": sys.version.split()[0], **{name: version(name) for name in names}}
print(json.dumps({"versions": versions, "device": device, "processor": processor()}))
"""


def execute(notebook, timeout):
    """Execute a notebook in place; return where, when and for how long it ran."""
    last = nbformat.v4.new_code_cell(PROVENANCE)
    notebook.cells.append(last)
    started = time.time()
    with TemporaryDirectory() as folder:
        # by files: a port that was free may be taken when the kernel binds it
        manager = AsyncKernelManager(
            kernel_name=notebook.metadata.kernelspec.name,
            connection_file=f"{folder}/kernel.json",
            transport="ipc",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute(cwd=str(HERE), cleanup_kc=True)
    seconds = time.time() - started
    notebook.cells.pop()
    shrink(notebook)
    told = json.loads(last.outputs[0].text)
    return {"when": started, "execution_seconds": seconds, **told}


def failed(docname, notebook, error):
    """Tell what happened, and last in which cell of which chapter."""
    codes = [i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code"]
    begun = [
        i
        for i in codes
        if notebook.cells[i].execution_count or notebook.cells[i].outputs
    ]
    cell = begun[-1] if begun else codes[0]
    line = notebook.metadata.source_map[cell] + 1
    told = re.sub(r"\x1b\[[0-9;]*m", "", str(error)).strip()
    what = (
        f"{error.ename}: {error.evalue}"
        if isinstance(error, CellExecutionError)
        else ""
    )
    what = what or f"{type(error).__name__}: {told.splitlines()[0]}"
    return f"{told}\n\n{docname}.md, cell {codes.index(cell) + 1} (line {line}): {what}"


def read(env, docname):
    """Read a chapter as MyST-NB will, or None if the page is no notebook."""
    path = env.doc2path(docname)
    text = path.read_text()
    if not is_myst_markdown_notebook(text):
        return None
    text, _ = with_dependencies(text)
    return read_myst_markdown_notebook(text, env.myst_config, add_source_map=True)


def run_chapters(app, env, docnames):
    """Execute the chapters among ``docnames`` that the cache does not hold."""
    cache = open_cache(app.config.nb_execution_cache_path)
    known = getattr(env, "provenance", {})
    env.provenance = {name: known[name] for name in known if name in env.found_docs}
    stale = {}
    for docname in docnames:
        env.provenance.pop(docname, None)
        if notebook := read(env, docname):
            try:
                found = cache.match_cache_notebook(notebook)
                env.provenance[docname] = found.data
            except KeyError:
                stale[docname] = notebook
    for docname, data in sorted(env.provenance.items()):
        say(docname, f"cached    ({data['execution_seconds']:.1f} s when executed)")
    alone = {name for name, notebook in stale.items() if notebook.metadata.get("alone")}
    errors = []
    for names, workers in ((stale.keys() - alone, os.cpu_count()), (alone, 1)):
        with ThreadPoolExecutor(workers) as pool:
            work = partial(execute, timeout=app.config.nb_execution_timeout)
            jobs = {pool.submit(work, stale[name]): name for name in sorted(names)}
            for job in as_completed(jobs):
                docname, error = jobs[job], job.exception()
                if error:
                    say(docname, "FAILED")
                    errors.append(failed(docname, stale[docname], error))
                else:
                    data = store(cache, stale[docname], f"{docname}.md", job.result())
                    env.provenance[docname] = data
                    say(docname, f"executed  {data['execution_seconds']:.1f} s")
    if errors:
        raise SystemExit("\n\n".join(errors))  # the last that the build prints


def say(docname, what):
    """Print a chapter's line."""
    print(f"  {docname:<26} {what}", flush=True)


def setup(app):
    """Connect, and set what the kernels inherit."""
    os.environ.update(KERNEL)
    app.connect("env-before-read-docs", run_chapters)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
