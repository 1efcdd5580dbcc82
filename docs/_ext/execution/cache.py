"""MyST-NB's cache of executed chapters, with checksums.

A database or an entry that was damaged, or half written when a build was
killed, is thrown away when the cache is opened, so its notebooks run again.
"""

import hashlib
import shutil
from pathlib import Path

import nbformat
from jupyter_cache import get_cache
from jupyter_cache.base import CacheBundleIn
from jupyter_cache.cache.db import NbCacheRecord

KEPT = 100  # entries, the newest


def sha256(text):
    """Digest a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def intact(entry, record):
    """Tell whether an entry is what was stored."""
    try:
        return sha256((entry / "base.ipynb").read_text()) == record.data["sha256"]
    except (OSError, UnicodeError, KeyError, TypeError):
        return False


def open_cache(path):
    """Open the cache at ``path`` without what is damaged, making it if need be."""
    try:
        cache = get_cache(path)
        for record in cache.list_cache_records():
            entry = Path(path, "executed", record.hashkey)
            if not intact(entry, record):
                shutil.rmtree(entry, ignore_errors=True)
                NbCacheRecord.remove_record(record.pk, cache.db)
        cache.change_cache_limit(KEPT)
    except Exception:  # whatever a broken database raises: start anew
        shutil.rmtree(path, ignore_errors=True)
        cache = get_cache(path)
        cache.change_cache_limit(KEPT)
    return cache


def store(cache, notebook, name, data):
    """Store an executed notebook with its data and checksum; return the data."""
    stored, _ = cache.create_hashed_notebook(notebook)
    data = {**data, "sha256": sha256(nbformat.writes(stored, nbformat.NO_CONVERT))}
    bundle = CacheBundleIn(notebook, name, data=data)
    cache.cache_notebook_bundle(bundle, check_validity=False, overwrite=True)
    return data
