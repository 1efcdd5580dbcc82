"""Execute stale notebooks, several at a time, before Sphinx reads any page.

MyST-NB then finds every notebook in its cache. One line is printed for each.
"""

import json
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from tempfile import TemporaryDirectory

import nbformat
from jupyter_client import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from .cache import open_cache, store
from .figures import shrink
from .notebooks import read
from .provenance import processor, question


def execute(notebook, folder, timeout, names):
    """Execute a notebook in place; return when, for how long and on what it ran."""
    last = nbformat.v4.new_code_cell(question(names))
    notebook.cells.append(last)
    started = time.time()
    with TemporaryDirectory() as private:
        # by files: a port that was free may be taken when the kernel binds it
        manager = AsyncKernelManager(
            kernel_name=notebook.metadata.kernelspec.name,
            connection_file=f"{private}/kernel.json",
            transport="ipc",
        )
        client = NotebookClient(
            notebook,
            km=manager,
            timeout=timeout,
            record_timing=False,
            coalesce_streams=True,
        )
        client.execute(cwd=str(folder), cleanup_kc=True)
    seconds = time.time() - started
    notebook.cells.pop()
    shrink(notebook)
    told = json.loads(last.outputs[0].text)
    when = {"when": started, "execution_seconds": seconds}
    return {**when, **told, "processor": processor()}


def failed(file, notebook, error):
    """Tell what happened, and last in which cell of which file."""
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
    return f"{told}\n\n{file}, cell {codes.index(cell) + 1} (line {line}): {what}"


def run_notebooks(app, env, docnames):
    """Execute the notebooks among ``docnames`` that the cache does not hold."""
    config = app.config
    say = partial(print_line, max(map(len, env.found_docs)))
    cache = open_cache(config.nb_execution_cache_path)
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
            work = partial(
                execute,
                timeout=config.nb_execution_timeout,
                names=config.execution_versions_shown,
            )
            jobs = {
                pool.submit(work, stale[name], env.doc2path(name).parent): name
                for name in sorted(names)
            }
            for job in as_completed(jobs):
                docname, error = jobs[job], job.exception()
                notebook, file = stale[docname], str(env.doc2path(docname, base=False))
                if error:
                    say(docname, "FAILED")
                    errors.append(failed(file, notebook, error))
                else:
                    data = store(cache, notebook, file, job.result())
                    env.provenance[docname] = data
                    say(docname, f"executed  {data['execution_seconds']:.1f} s")
    if errors:
        raise SystemExit("\n\n".join(errors))  # the last that the build prints


def print_line(width, docname, what):
    """Print a notebook's line."""
    print(f"  {docname:<{width}} {what}", flush=True)


def set_environment(app, config):
    """Set what the kernels inherit."""
    os.environ.update(config.execution_environment)


def setup(app):
    """Connect."""
    app.connect("config-inited", set_environment)
    app.connect("env-before-read-docs", run_notebooks)
