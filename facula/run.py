"""`facula run`: a program written for PyTorch, started so that `import torch` gives Facula.

There is one switch and it is explicit. `install()` puts a finder before all others on
`sys.meta_path`; from then on `torch` and `torch.x.y` are further names of the very module objects
`facula` and `facula.x.y`. Nothing is copied or run twice and there is no proxy: `torch.nn is
facula.nn`, there is one Tensor type, and a class pickled in one program is found by the other.

What a program may ask about the name, and what it gets:

- `import torch.foo`, where Facula has no such module: ModuleNotFoundError, "torch.foo is not in
  Facula". `from torch import foo` raises an ImportError with the same words, so that `try: ...
  except ImportError` goes the way that it goes with a PyTorch that lacks `foo`.
- `importlib.util.find_spec("torch")`: a spec; `find_spec("torch.foo")`: None.
- `importlib.metadata.version("torch")`: the release of PyTorch whose interface Facula follows with
  Facula's own version as its local part, such as `2.13.0+facula.0.1.0`. Libraries ask for it to
  learn whether PyTorch is there and new enough; PackageNotFoundError would tell them "no".
- `torch.__name__`: "torch", from `install()` to `uninstall()`; libraries compare it with the first
  part of a dotted name. Submodules keep their own names, as do `__spec__` and `__package__`, by
  which the import system knows the package.
- a real PyTorch that the process has imported already: `install()` refuses, since the program
  would hold tensors of two kinds.

The machinery of the switch itself (`facula.run`, `facula.cli`) has no name under `torch`.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import types
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from typing import Any

from facula.version import API as API_VERSION

_TITLE = "Facula"
_PRIVATE = frozenset({"run", "cli", "__main__"})
_THIS_FILE = __file__


class ScriptError(Exception):
    """What was asked to run can't be started; `status` is the exit status Python would give."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


# ----------------------------------------------------------------------------------------------
# the switch
# ----------------------------------------------------------------------------------------------
def missing_module(name: str) -> ModuleNotFoundError:
    """The error for a submodule that PyTorch may have and Facula lacks."""
    return ModuleNotFoundError(f"{name} is not in {_TITLE} (see docs/compatibility.md)", name=name)


def missing_import(name: str) -> ImportError:
    """The error of `from torch import x`. The import system falls silent on a ModuleNotFoundError
    about exactly the name that it looked for, not on the ImportError that Python raises here."""
    package, _, child = name.rpartition(".")
    why = f"cannot import name {child!r} from {package!r}: {missing_module(name)}"
    return ImportError(why, name=package)


class _AliasLoader:
    """Loads a module under a second name by giving out the module that has the first."""

    def __init__(self, real: str, name: str) -> None:
        self.real, self.name = real, name
        self._spec: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> types.ModuleType:
        module = importlib.import_module(self.real)
        self._spec = module.__spec__
        return module

    def exec_module(self, module: types.ModuleType) -> None:
        # The import system has just written the alias's spec into the module; it has run already
        # and goes on being the module that it was.
        module.__spec__ = self._spec
        self._name_shadowed(module)

    def _name_shadowed(self, module: types.ModuleType) -> None:
        """Name submodules behind a function of theirs, as `nn.parallel.data_parallel` is.

        PyTorch imports them with the package, so importing one later leaves the function there.
        """
        for child, value in list(module.__dict__.items()):
            inner = sys.modules.get(f"{self.real}.{child}")
            if inner is not None and getattr(value, "__module__", None) == inner.__name__:
                sys.modules[f"{self.name}.{child}"] = inner


# Modules whose names their packages give to something else, and which programs import from.
_TWINS = {".autograd.gradcheck"}


class _AliasFinder:
    """Finds `name` and `name.x.y` as `target` and `target.x.y`."""

    def __init__(self, target: str, name: str) -> None:
        self.target, self.name = target, name

    def real_name(self, fullname: str) -> str | None:
        """The target's name for `fullname`, or None when it is not one of ours."""
        head, dot, rest = fullname.partition(".")
        return self.target + dot + rest if head == self.name else None

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> ModuleSpec | None:
        real = self.real_name(fullname)
        if real is None:
            return None
        if not self.is_module(real):
            if real.count(".") == 1 and "_handle_fromlist" in _importing():
                raise missing_import(fullname)
            # No answer would leave the question to the other finders, who see a file there.
            raise missing_module(fullname)
        found = sys.modules[real].__spec__ if real in sys.modules else None
        found = found or importlib.util.find_spec(real)
        if found is None:
            return None
        loader: Any = _AliasLoader(real, fullname)
        spec = ModuleSpec(fullname, loader, origin=found.origin)
        if found.submodule_search_locations is not None:
            spec.submodule_search_locations = list(found.submodule_search_locations)
        return spec

    def is_module(self, real: str) -> bool:
        """Whether users know this name as a module.

        False for the switch itself, and for a file of the target whose name the package uses for
        something else: `tensor` is a function, and importing `torch.tensor` would, as every import
        of a submodule does, put the module in the function's place.
        """
        parent, _, child = real.rpartition(".")
        if not parent:
            return True
        if parent == self.target and child in _PRIVATE:
            return False
        module = sys.modules.get(parent)
        value = module.__dict__.get(child) if module is not None else None
        feature = type(value).__module__ == "__future__"  # `from __future__ import annotations`
        return value is None or feature or isinstance(value, types.ModuleType)

    def find_distributions(self, context: Any = None) -> Iterator[Any]:
        """What `importlib.metadata` says of the name."""
        from importlib.metadata import Distribution, DistributionFinder

        name = (context or DistributionFinder.Context()).name
        if name is not None and name.lower() != self.name:
            return

        text = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {torch_version(self.target)}\n"

        class AliasDistribution(Distribution):
            def read_text(self, filename: str) -> str | None:
                return text if filename == "METADATA" else None

            def locate_file(self, path: Any) -> Any:
                raise FileNotFoundError(f"{path}: provided by {_TITLE}, which has its own files")

        yield AliasDistribution()

    def invalidate_caches(self) -> None:
        """Nothing is remembered."""


class _MissingFinder:
    """The last finder: says what Facula lacks, where the import system would say `No module`."""

    def __init__(self, target: str, name: str) -> None:
        self.target, self.name = target, name

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: Any = None
    ) -> None:
        head, _, rest = fullname.partition(".")
        if head not in (self.name, self.target) or not rest:
            return
        callers = _importing()
        # `importlib.util.find_spec` asks whether there is such a module: the answer is None.
        # `from torch.nn import foo` tries `facula.nn.foo`, after the module's own name, and falls
        # silent on an error about exactly that name; ours carries the name that the program knows.
        # A plain `import facula.foo` gets the import system's own words.
        if "_find_and_load" in callers and (head == self.name or "_handle_fromlist" in callers):
            if fullname == f"{self.name}.{rest}" and "_handle_fromlist" in callers:
                raise missing_import(fullname)
            raise missing_module(f"{self.name}.{rest}")


def _importing() -> set[str]:
    """The functions of the import system that led to this question: it names no caller."""
    frame = sys._getframe(2)
    names = set()
    while frame is not None and frame.f_code.co_filename == "<frozen importlib._bootstrap>":
        names.add(frame.f_code.co_name)
        frame = frame.f_back  # type: ignore[assignment]
    return names


_installed: tuple[_AliasFinder, _MissingFinder] | None = None


def torch_version(target: str = "facula") -> str:
    """What `importlib.metadata.version("torch")` answers: `2.13.0+facula.0.1.0`."""
    own = getattr(sys.modules.get(target), "__version__", "0")
    if own.startswith(API_VERSION):
        return own
    return f"{API_VERSION}+{target}.{own.replace('+', '.')}"


def install(target: str = "facula", name: str = "torch") -> None:
    """From now on, `import torch` and its submodules give Facula's modules in this process.

    A second call does nothing. Raises RuntimeError if the real PyTorch has been imported already.
    Child processes of this one are not switched; `facula run` sees to its own (see
    `share_with_children`).
    """
    global _installed
    if _installed is not None:
        if (_installed[0].target, _installed[0].name) == (target, name):
            return
        raise RuntimeError(
            f"'{_installed[0].name}' already stands for {_installed[0].target}; "
            f"call facula.run.uninstall() first"
        )
    module = importlib.import_module(target)
    present = sys.modules.get(name)
    if present is not None and present is not module and not _is_stand_in(present):
        where = getattr(present, "__file__", None) or "unknown file"
        raise RuntimeError(
            f"PyTorch is already imported ({where}), so 'import {name}' can't give {_TITLE} any "
            f"more: a program can't hold tensors of both. Start the program with `facula run`, or "
            f"call facula.run.install() before anything imports {name}."
        )
    _installed = _AliasFinder(target, name), _MissingFinder(target, name)
    sys.meta_path.insert(0, _installed[0])  # type: ignore[arg-type]
    sys.meta_path.append(_installed[1])  # type: ignore[arg-type]
    sys.modules[name] = module
    module.__name__ = name
    _name_tensors(target, name)
    # Modules that are loaded already get their second name now: programs look in sys.modules, too.
    for real, loaded in list(sys.modules.items()):
        if real.startswith(target + ".") and isinstance(loaded, types.ModuleType):
            alias = name + real[len(target) :]
            if _installed[0].is_module(real) or real[len(target) :] in _TWINS:
                sys.modules[alias] = loaded


def _name_tensors(target: str, name: str = "") -> None:
    """Let the classes of tensors say that they are `name`'s, or without one where they are.

    Libraries look for a tensor's functions in the first part of its class's module (opt_einsum and
    autoray do), and write a call of PyTorch's `tensordot` otherwise than one of another library.
    """
    for cls, own, theirs in (("Tensor", ".tensor", ""), ("Parameter",) + 2 * (".nn.parameter",)):
        module = sys.modules.get(target + own)
        if module is not None and hasattr(module, cls):
            getattr(module, cls).__module__ = name + theirs if name else target + own


def uninstall() -> None:
    """Undo `install()`: `torch` is nobody's name again. Does nothing when it was not installed.

    Modules that imported it keep what they hold.
    """
    global _installed
    if _installed is None:
        return
    finder, missing = _installed
    _installed = None
    if finder.target in sys.modules:
        sys.modules[finder.target].__name__ = finder.target
    _name_tensors(finder.target)
    sys.meta_path[:] = [f for f in sys.meta_path if f is not finder and f is not missing]
    for alias in list(sys.modules):
        real = finder.real_name(alias)
        if real is not None and sys.modules[alias] is sys.modules.get(real):
            del sys.modules[alias]


def installed() -> bool:
    """Whether `import torch` gives Facula in this process."""
    return _installed is not None


def _is_stand_in(module: types.ModuleType) -> bool:
    """Whether this is `facula/_children/torch`, on its way to be replaced."""
    return getattr(module, "_stands_in_for_facula", False) is True


def share_with_children() -> None:
    """Let the Python processes that this one starts find Facula under `torch` as well.

    Workers of `multiprocessing` under `spawn` and scripts started with `subprocess` begin with
    nothing but the environment. They find `facula/_children` on PYTHONPATH, and in it a `torch`
    whose only deed is to call `install()`. `multiprocessing` also hands down `sys.path`, so the
    folder stands there too, where PYTHONPATH would have put it.
    """
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "_children")
    paths = [p for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
    if folder not in paths:
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, *paths])
    if folder not in sys.path:
        sys.path.insert(0 if sys.flags.safe_path else 1, folder)


# ----------------------------------------------------------------------------------------------
# running a script as `python` does
# ----------------------------------------------------------------------------------------------
def run_script(path: str, args: Sequence[str] = ()) -> None:
    """Run a file as `python path args...` would: as `__main__`, its folder first on `sys.path`.

    A folder or a zip file runs the `__main__.py` in it. Exceptions, SystemExit included, pass
    through; raises ScriptError when there is nothing to run.
    """
    if not os.path.exists(path):
        raise ScriptError(f"can't open file {os.path.abspath(path)!r}: no such file", 2)
    sys.argv[:] = [path, *args]
    if os.path.isdir(path) or _is_zip(path):
        folder = os.path.abspath(path)
        _set_first_path(folder)
        spec = PathFinder.find_spec("__main__", [folder])
        if spec is None or spec.loader is None:
            raise ScriptError(f"can't find '__main__' module in {path!r}", 1)
        _run_spec(spec)
        return
    _set_first_path(os.path.dirname(os.path.realpath(path)))
    try:
        with open(path, "rb") as f:
            source = f.read()
    except OSError as e:
        raise ScriptError(f"can't open file {os.path.abspath(path)!r}: {e.strerror}", 2) from None
    filename = os.path.abspath(path)
    main = _new_main(__file__=filename, __loader__=SourceFileLoader("__main__", filename))
    _hide_own_frames()
    exec(compile(source, filename, "exec", dont_inherit=True), main)


def run_module(name: str, args: Sequence[str] = ()) -> None:
    """Run a module as `python -m name args...` would, the current folder first on `sys.path`."""
    sys.argv[:] = ["-m", *args]
    _set_first_path(os.getcwd())
    _hide_own_frames()
    spec = _find_runnable(name)
    sys.argv[0] = spec.origin or name
    _run_spec(spec)


def _find_runnable(name: str) -> ModuleSpec:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError as e:
        # a parent that is missing is the user's slip; one that fails to import is a traceback
        if e.name is None or not (name + ".").startswith(e.name + "."):
            raise
        spec = None
    if spec is None:
        raise ScriptError(f"no module named {name!r}", 1)
    if spec.submodule_search_locations is not None and not name.endswith(".__main__"):
        try:
            return _find_runnable(name + ".__main__")
        except ScriptError:
            raise ScriptError(
                f"{name!r} is a package and can't be run: it has no __main__.py", 1
            ) from None
    if spec.loader is None or not hasattr(spec.loader, "get_code"):
        raise ScriptError(f"{name!r} has no Python code to run", 1)
    return spec


def _run_spec(spec: ModuleSpec) -> None:
    loader: Any = spec.loader
    code = loader.get_code(spec.name)
    if code is None:
        raise ScriptError(f"{spec.name!r} has no Python code to run", 1)
    main = _new_main(
        __file__=spec.origin,
        __cached__=spec.cached,
        __loader__=loader,
        __package__=spec.parent,
        __spec__=spec,
    )
    _hide_own_frames()
    exec(code, main)


def _new_main(**names: Any) -> dict[str, Any]:
    """A new module `__main__`, in place until the process ends, as threads and atexit expect."""
    module = types.ModuleType("__main__")
    begin: dict[str, Any] = {"__builtins__": __builtins__, "__cached__": None}
    begin["__annotations__"] = {}
    module.__dict__.update({**begin, **names})
    _kept.append(sys.modules.get("__main__"))  # its functions are still on the stack
    sys.modules["__main__"] = module
    return module.__dict__


_kept: list[types.ModuleType | None] = []


def _set_first_path(folder: str) -> None:
    """Put `folder` where Python put the folder of its own script."""
    if not sys.flags.safe_path:
        sys.path[0:1] = [folder]


def _is_zip(path: str) -> bool:
    if path.endswith((".py", ".pyw")):
        return False
    import zipfile

    return zipfile.is_zipfile(path)


def _hide_own_frames() -> None:
    """Print uncaught errors as `python script.py` would, without the frames that started it.

    The error itself still passes through all of Python's own handling: exit status, SIGINT,
    `sys.last_exc`. A hook that the program sets later is its own business.
    """
    previous = sys.excepthook
    if getattr(previous, "_hides_own_frames", False):
        return

    def hook(kind: type[BaseException], error: BaseException, tb: types.TracebackType | None):
        tb = _visible(tb)
        error.__traceback__ = tb
        if isinstance(error, AttributeError) and isinstance(error.obj, _tensors()):
            # Where it is raised Python says it alone: a `__getattr__` would cost all others.
            error.add_note(f"what {_TITLE} lacks is listed in docs/compatibility.md")
        previous(kind, error, tb)

    hook._hides_own_frames = True  # type: ignore[attr-defined]
    sys.excepthook = hook


def _tensors() -> tuple[type, ...]:
    """The class of tensors, where it is there."""
    known = sys.modules.get("facula.tensor")
    return () if known is None else (known.Tensor,)


def _visible(tb: types.TracebackType | None) -> types.TracebackType | None:
    """The traceback without this file's frames and without what led to the first of them."""
    frames = []
    while tb is not None:
        frames.append(tb)
        tb = tb.tb_next
    own = [i for i, t in enumerate(frames) if t.tb_frame.f_code.co_filename == _THIS_FILE]
    if own:
        start = own[0]
        frames = [t for i, t in enumerate(frames) if i > start and i not in own]
    for this, following in zip(frames, [*frames[1:], None]):
        this.tb_next = following
    return frames[0] if frames else None
