"""Models from a folder with a `hubconf.py`, and weights from an address.

Code is never fetched: `source='local'` is the only source of it. Weights are fetched once, into
the same cache folder as PyTorch's, and read by `torch.load`, which runs no code.

Source: https://pytorch.org/docs/stable/hub.html
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import sys
import tempfile
from typing import Any
from urllib.parse import urlparse

from facula.errors import honest, refuse
from facula.progress import Progress

__all__ = [
    "download_url_to_file",
    "get_dir",
    "help",
    "list",
    "load",
    "load_state_dict_from_url",
    "set_dir",
]
_folder: str | None = None
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")


def _get_torch_home() -> str:
    """The cache folder of everything: `$TORCH_HOME`, by default `~/.cache/torch`."""
    cache = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    return os.path.expanduser(os.environ.get("TORCH_HOME", os.path.join(cache, "torch")))


def get_dir() -> str:
    """The cache folder: `$TORCH_HOME/hub`, by default `~/.cache/torch/hub`."""
    return os.path.join(_get_torch_home(), "hub") if _folder is None else _folder


def set_dir(d: str) -> None:
    """Use another cache folder."""
    global _folder
    _folder = os.path.expanduser(d)


def _hubconf(repo: str, source: str, name: str) -> Any:
    if source != "local":
        if source != "github":
            raise ValueError(f'Unknown source: "{source}". Allowed values: "github" | "local".')
        refuse(
            f"torch.hub.{name}({repo!r})",
            "code is not fetched; clone the repository and use source='local'",
        )
    folder = os.path.abspath(repo)
    path = os.path.join(folder, "hubconf.py")
    if not os.path.exists(path):
        raise FileNotFoundError(f"torch.hub.{name}(): there is no {path}")
    sys.path.insert(0, folder)
    try:
        spec = importlib.util.spec_from_file_location("hubconf", path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(folder)
    return module


def _entry(module: Any, name: str) -> Any:
    entry = getattr(module, name, None)
    if not callable(entry):
        raise RuntimeError(f"Cannot find callable {name} in hubconf")
    missing = [d for d in getattr(module, "dependencies", ()) if not _is_there(d)]
    if missing:
        raise RuntimeError(f"Missing dependencies: {', '.join(missing)}")
    return entry


def _is_there(package: str) -> bool:
    return package in sys.modules or importlib.util.find_spec(package) is not None


def list(github: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The names of the entries in a `hubconf.py`."""
    module = _hubconf(github, source, "list")
    return [n for n in dir(module) if callable(getattr(module, n)) and not n.startswith("_")]


def help(github: str, model: str, *args: Any, source: str = "github", **kwargs: Any) -> Any:
    """The documentation of an entry."""
    return _entry(_hubconf(github, source, "help"), model).__doc__


def load(
    repo_or_dir: str,
    model: str,
    *args: Any,
    source: str = "github",
    trust_repo: Any = None,
    force_reload: bool = False,
    verbose: bool = True,
    skip_validation: bool = False,
    **kwargs: Any,
) -> Any:
    """Call an entry of the `hubconf.py` in a folder; NotImplementedError for a repository."""
    return _entry(_hubconf(repo_or_dir, source, "load"), model)(*args, **kwargs)


def download_url_to_file(
    url: str, dst: str, hash_prefix: str | None = None, progress: bool = True
) -> None:
    """Fetch a file; RuntimeError when its SHA-256 does not begin with `hash_prefix`.

    With `progress`, a download that takes long says on a terminal how far it is.
    """
    from contextlib import nullcontext
    from urllib.request import Request, urlopen

    if not url.startswith(("http://", "https://", "file://")):
        raise ValueError(f"download_url_to_file(): {url!r} is not an http(s) address")
    sha = hashlib.sha256()
    dst = os.path.expanduser(dst)
    request = Request(url, headers={"User-Agent": "facula.hub"})
    handle, part = tempfile.mkstemp(dir=os.path.dirname(os.path.abspath(dst)))
    try:
        with os.fdopen(handle, "wb") as out, urlopen(request) as answer:
            size = answer.headers.get("Content-Length")
            name = os.path.basename(dst)
            shown = Progress(name, int(size) if size else None, "B") if progress else nullcontext()
            with shown as bar:
                for chunk in iter(lambda: answer.read(1 << 16), b""):
                    out.write(chunk)
                    sha.update(chunk)
                    if bar is not None:
                        bar.advance(len(chunk))
        if hash_prefix and not sha.hexdigest().startswith(hash_prefix):
            raise RuntimeError(
                f'invalid hash value (expected "{hash_prefix}", got "{sha.hexdigest()}")'
            )
        shutil.move(part, dst)
    finally:
        if os.path.exists(part):
            os.remove(part)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = False,
) -> Any:
    """Weights from an address: fetched unless the cache has them."""
    from facula.serialization import load as read

    folder = os.path.join(get_dir(), "checkpoints") if model_dir is None else model_dir
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, file_name or os.path.basename(urlparse(url).path))
    if not os.path.exists(path):
        found = HASH_REGEX.search(os.path.basename(path)) if check_hash else None
        download_url_to_file(url, path, found[1] if found else None, progress=progress)
    return read(path, map_location=map_location, weights_only=weights_only)


_missing = honest(__name__)


def __getattr__(name: str) -> Any:
    if name == "tqdm":  # PyTorch hands on the bar of another library
        try:
            return importlib.import_module("tqdm").tqdm
        except ImportError:
            return _missing(name)
    return _missing(name)
