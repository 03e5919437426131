"""The switch of `facula run`: names under `torch`, and scripts started as `python` starts them.

Most tests use a small framework of their own under the name `torch`, so that they hold whatever
Facula's names are; what they ask of the import system is the same. Each runs in its own process,
because what is imported can't be taken back.
"""

from __future__ import annotations

import importlib.metadata
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import facula.run

ROOT = Path(facula.run.__file__).parents[1]

STUB = {
    "__init__.py": """
        __version__ = "0.3"
        count = 0

        def tensor(x):
            return [x]

        def __getattr__(name):
            if name in ("optim", "lazy_and_missing"):
                import importlib
                try:
                    return importlib.import_module("stub." + name)
                except ModuleNotFoundError as e:
                    if e.name != "stub." + name:
                        raise
            raise AttributeError(f"torch.{name} is not in Facula", name=name)
    """,
    "tensor.py": "class Tensor: pass",
    "run.py": "",
    "nn/__init__.py": """
        import stub
        stub.count += 1
        class Module: pass
    """,
    "nn/functional.py": "def relu(x): return max(x, 0)",
    "optim/__init__.py": "from stub.optim import lr_scheduler",
    "optim/lr_scheduler.py": "class StepLR: pass",
    "utils/__init__.py": "",
    "utils/data/__init__.py": "class DataLoader: pass",
    "broken.py": "import a_module_that_nobody_has",
}


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))


def python(folder: Path, *args: str, path: str = "", **env: str) -> subprocess.CompletedProcess:
    """Run Python in `folder`; it finds Facula where this process found it."""
    path = os.pathsep.join([path, str(ROOT)] if path else [str(ROOT)])
    return subprocess.run(
        [sys.executable, "-W", "error", *args],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, **env},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture
def stub(tmp_path: Path):
    """A function that runs a script with `stub` installed as `torch`, and returns its output."""
    write(tmp_path / "lib" / "stub", STUB)

    def run(script: str, *args: str, ok: bool = True, **files: str):
        write(tmp_path, {"script.py": script, **{f"{k}.py": v for k, v in files.items()}})
        start = (
            "import sys, facula.run as run; run.install('stub'); "
            "run.run_script('script.py', sys.argv[1:])"
        )
        done = python(tmp_path, "-c", start, *args, path=str(tmp_path / "lib"))
        if ok:
            assert done.returncode == 0, done.stderr
        return done

    return run


# one statement a line: each must be true in the script
TRUTHS = """
import torch; import stub; torch is stub
import torch; import sys; sys.modules['torch'] is sys.modules['stub']
import torch.nn as nn; import stub.nn; nn is stub.nn
import stub.nn; import torch.nn; torch.nn is stub.nn
import torch.nn; import sys; sys.modules['torch.nn'] is sys.modules['stub.nn']
import torch.nn; import stub.nn; import torch.nn as n; torch.count == 1
import torch.nn.functional as F; import stub; F is stub.nn.functional
from torch import nn, optim; nn.__name__ == 'stub.nn' and optim.__name__ == 'stub.optim'
from torch.utils.data import DataLoader; import stub.utils.data as d; DataLoader is d.DataLoader
from torch.nn import Module; Module.__module__ == 'stub.nn'
import importlib as i; i.import_module('torch.optim.lr_scheduler').StepLR.__name__ == 'StepLR'
import torch.nn; torch.nn.__spec__.name == 'stub.nn' and torch.nn.__name__ == 'stub.nn'
import torch.nn; torch.nn.__package__ == 'stub.nn' and torch.nn.__loader__.name == 'stub.nn'
import torch, stub; torch.__name__ == stub.__name__ == 'torch'
import torch; torch.__spec__.name == 'stub' and torch.__file__.endswith('__init__.py')
import importlib.util as u; u.find_spec('torch') is not None
import importlib.util as u; u.find_spec('torch.nn').name == 'torch.nn'
import importlib.util as u; u.find_spec('torch.nn').submodule_search_locations
import importlib.util as u; u.find_spec('torch.foo') is None
import importlib.util as u; u.find_spec('torch.nn.foo') is None
import importlib.util as u; u.find_spec('torchvision_that_nobody_has') is None
import torch; not hasattr(torch, 'foo') and getattr(torch, 'foo', 5) == 5
import torch; torch.optim.__name__ == 'stub.optim' and not hasattr(torch, 'lazy_and_missing')
import torch, importlib; importlib.reload(torch) is torch
import pickle, torch.nn; pickle.loads(pickle.dumps(torch.nn.Module)) is torch.nn.Module
import importlib.metadata as m; m.version('torch') == '2.13.0+stub.0.3'
import importlib.metadata as m; m.distribution('Torch').metadata['Name'] == 'torch'
import importlib.metadata as m; m.distribution('torch').files is None
import importlib.metadata as m; m.version('pytest') != m.version('torch')
import importlib.metadata as m; 'torch' in [d.metadata['Name'] for d in m.distributions()]
import stub.tensor, torch.tensor as t; t is stub.tensor
from torch.utils import data; from stub.utils import data as d; data is d
"""


@pytest.mark.parametrize("line", TRUTHS.strip().splitlines())
def test_names(stub, line):
    *statements, truth = line.split("; ")
    stub("\n".join([*statements, f"assert {truth}"]))


def test_missing_submodule(stub):
    done = stub("import torch.foo", ok=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ModuleNotFoundError: torch.foo is not in Facula (see docs/compatibility.md)"
    )
    assert "_find_and_load" not in done.stderr and "run.py" not in done.stderr


MISSING = """
import torch
import torch.nn
import importlib.util

def error(statement):
    try:
        exec(statement, {"torch": torch, "importlib": importlib})
    except Exception as e:
        return e

assert type(error("import torch.nn.foo")) is ModuleNotFoundError
assert error("import torch.nn.foo").name == "torch.nn.foo"
assert "torch.nn.foo is not in Facula" in str(error("import torch.nn.foo"))
assert type(error("importlib.import_module('torch.foo.bar')")) is ModuleNotFoundError
assert error("import stub.foo").name == "stub.foo"
assert isinstance(error("from torch import foo"), ImportError)
assert isinstance(error("from torch import lazy_and_missing"), ImportError)
assert "torch.lazy_and_missing is not in Facula" in str(error("from torch import lazy_and_missing"))
assert "torch.foo is not in Facula" in str(error("from torch import foo"))
assert "docs/compatibility.md" in str(error("from torch import foo"))
assert isinstance(error("from torch.foo import bar"), ImportError)
assert isinstance(error("from torch.nn.functional import foo"), ImportError)
assert isinstance(error("from torch.nn import foo"), ImportError)
assert type(error("torch.foo")) is AttributeError
assert str(error("torch.foo")) == "torch.foo is not in Facula"
# files of the package that are no modules of PyTorch's: the switch, and one named like a function
assert type(error("importlib.util.find_spec('torch.tensor')")) is ModuleNotFoundError
assert type(error("import torch.tensor")) is ModuleNotFoundError
assert torch.tensor(1) == [1]
assert type(error("import torch.run")) is ModuleNotFoundError
assert type(error("import something_else")) is ModuleNotFoundError
assert str(error("import something_else")) == "No module named 'something_else'"
# an import that fails inside a module of ours says what failed there, and can be tried again
assert error("import torch.broken").name == "a_module_that_nobody_has"
assert error("import torch.broken").name == "a_module_that_nobody_has"
try:
    from torch import foo
except ImportError:
    foo = "fallback"
assert foo == "fallback"
"""


def test_missing_names_behave_as_in_a_pytorch_without_them(stub):
    stub(MISSING)


def test_imported_code_is_switched_too(stub):
    stub(
        "import library, stub.nn; assert library.nn is stub.nn",
        library="import torch.nn as nn",
    )


def test_a_module_imported_by_two_threads_is_executed_once(stub):
    stub("""
        import threading, importlib, stub
        names = ["torch.nn", "stub.nn"] * 8
        ts = [threading.Thread(target=importlib.import_module, args=(n,)) for n in names]
        [t.start() for t in ts], [t.join() for t in ts]
        assert stub.count == 1
        assert stub.nn.__spec__.name == "stub.nn"
    """)


def test_install_and_uninstall(tmp_path):
    write(tmp_path / "stub", STUB)
    script = """
        import sys, importlib.util
        import stub.nn
        import facula.run as run
        before = list(sys.meta_path)
        assert not run.installed()
        run.uninstall()
        run.install("stub")
        run.install("stub")
        assert run.installed() and len(sys.meta_path) == len(before) + 2
        assert sys.modules["torch.nn"] is stub.nn  # loaded already, so known under both names
        assert "torch.run" not in sys.modules
        import torch.nn.functional
        try:
            run.install()
        except RuntimeError as e:
            assert "already stands for stub" in str(e)
        else:
            raise AssertionError("a second target was accepted")
        run.uninstall()
        assert sys.meta_path == before
        assert not [m for m in sys.modules if m.split(".")[0] == "torch"]
        assert importlib.util.find_spec("torch_of_nobody") is None
        run.install("stub")
        import torch
        assert torch is stub
        assert stub.__name__ == "torch"
        run.uninstall()
        assert stub.__name__ == "stub"
    """
    done = python(tmp_path, "-c", textwrap.dedent(script))
    assert done.returncode == 0, done.stderr


def test_tensors_are_of_the_module_that_they_stand_in_for(tmp_path):
    script = """
        import pickle, facula.run
        facula.run.install()
        import torch
        made = torch.ones(2), torch.nn.Parameter(torch.ones(2)), torch.ones(2, device="meta")
        assert torch.Tensor.__module__ == "torch"
        assert torch.nn.Parameter.__module__ == "torch.nn.parameter"
        assert str(torch.Tensor) == "<class 'torch.Tensor'>"
        text = pickle.dumps(made)
        assert pickle.loads(pickle.dumps(torch.Tensor)) is torch.Tensor
        facula.run.uninstall()
        assert torch.Tensor.__module__ == "facula.tensor"
        assert torch.nn.Parameter.__module__ == "facula.nn.parameter"
        back = pickle.loads(text)  # what was written there is read here
        assert [type(x) for x in back] == [type(x) for x in made]
    """
    done = python(tmp_path, "-c", textwrap.dedent(script))
    assert done.returncode == 0, done.stderr


def test_install_refuses_when_pytorch_is_imported(tmp_path):
    write(tmp_path, {"torch/__init__.py": "", "torch/nn.py": ""})
    script = """
        import sys, torch, facula.run
        before = list(sys.meta_path)
        try:
            facula.run.install()
        except RuntimeError as e:
            print(e)
        import torch.nn
        assert torch.nn.__name__ == "torch.nn" and sys.meta_path == before
    """
    done = python(tmp_path, "-c", textwrap.dedent(script))
    assert done.returncode == 0, done.stderr
    assert "PyTorch is already imported" in done.stdout
    assert str(tmp_path / "torch") in done.stdout


def test_a_real_pytorch_that_is_not_imported_stays_out_of_the_way(tmp_path):
    write(tmp_path, {"torch/__init__.py": "raise SystemExit('the real one')"})
    write(tmp_path, {"s.py": "import torch, facula; assert torch is facula"})
    done = python(tmp_path, "-m", "facula", "run", "s.py", path=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_version_follows_the_interface(monkeypatch):
    module = type(sys)("stub")
    monkeypatch.setitem(sys.modules, "stub", module)
    assert facula.run.torch_version("stub") == "2.13.0+stub.0"
    module.__version__ = "1.2+local"
    assert facula.run.torch_version("stub") == "2.13.0+stub.1.2.local"
    module.__version__ = "2.13.0+stub.9"
    assert facula.run.torch_version("stub") == "2.13.0+stub.9"
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        importlib.metadata.version("torch-of-nobody")


# ----------------------------------------------------------------------------------------------
# running scripts: what they see and print is what `python` would show them
# ----------------------------------------------------------------------------------------------
SEEN = """
import sys
main = sys.modules["__main__"]
assert main.__dict__ is globals()
print(sys.argv, sys.path[0], __name__, __file__, __spec__, __package__, __doc__, __cached__)
print(__loader__.__class__.__name__, sorted(k for k in globals()))
"""


def test_the_script_sees_what_python_shows_it(tmp_path):
    write(tmp_path, {"a/s.py": '"doc"\n' + SEEN, "b/placeholder": ""})
    (tmp_path / "b/link.py").symlink_to(tmp_path / "a/s.py")
    for script in ("a/s.py", "b/link.py", str(tmp_path / "a/s.py")):
        args = ["x", "-h", "--", "--version", ""]
        real = python(tmp_path, script, *args)
        ours = python(tmp_path, "-m", "facula", "run", script, *args)
        assert real.returncode == 0, real.stderr
        assert (ours.returncode, ours.stderr) == (0, "")
        assert ours.stdout == real.stdout


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("import sys; sys.exit()", 0),
        ("import sys; sys.exit(7)", 7),
        ("import sys; sys.exit('words')", 1),
        ("raise SystemExit(3)", 3),
        ("import os; os._exit(9)", 9),
        ("def f():\n    raise ValueError('words')\nf()", 1),
        ("def f():\n    1 / 0\ntry:\n    f()\nexcept Exception as e:\n    raise KeyError(1)", 1),
        ("raise ExceptionGroup('several', [ValueError(1), KeyError(2)])", 1),
        ("print('a'\nx = = 1", 1),
        ("  x = 1", 1),
        ("import helper", 1),
        ("import helper_with_a_slip", 1),
        ("import nothing_of_this_name", 1),
        ("assert 1 == 2", 1),
        ("import atexit; atexit.register(print, 'bye'); import sys; sys.exit(4)", 4),
        ("import threading; threading.Timer(0.05, print, ['late']).start()", 0),
        ("import sys\nsys.excepthook = lambda *a: print('hook', a[1])\nraise ValueError(1)", 1),
        ("# -*- coding: latin-1 -*-\nprint(ascii('\\xe9'))", 0),
    ],
)
def test_status_and_messages_are_those_of_python(tmp_path, text, status):
    helpers = {"helper.py": "def g():\n    raise OSError(3)\ng()", "helper_with_a_slip.py": "x = ("}
    write(tmp_path, helpers)
    (tmp_path / "s.py").write_bytes(text.encode("latin-1"))
    real = python(tmp_path, "s.py")
    ours = python(tmp_path, "-m", "facula", "run", "s.py")
    assert real.returncode == status
    assert ours.returncode == status
    assert ours.stdout == real.stdout
    assert ours.stderr == real.stderr


def test_an_attribute_that_a_tensor_lacks_is_named_and_the_list_is_pointed_to(tmp_path):
    write(tmp_path, {"s.py": "import torch\ntorch.zeros(1).no_such_name"})
    ours = python(tmp_path, "-m", "facula", "run", "s.py")
    assert ours.returncode == 1
    named, pointed = ours.stderr.splitlines()[-2:]
    assert named == "AttributeError: 'Tensor' object has no attribute 'no_such_name'"
    assert pointed == "what Facula lacks is listed in docs/compatibility.md"


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_keyboard_interrupt_ends_the_program_as_it_ends_python(tmp_path):
    text = (  # the handler is set because a background job starts with SIGINT ignored
        "import os, signal, time\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)"
    )
    write(tmp_path, {"s.py": text})
    ours = python(tmp_path, "-m", "facula", "run", "s.py")
    assert ours.returncode == python(tmp_path, "s.py").returncode == -signal.SIGINT
    assert ours.stderr.splitlines()[-1].strip() == "KeyboardInterrupt"
    assert "run.py" not in ours.stderr


def test_a_module_runs_as_with_python_m(tmp_path):
    show = (
        "import sys; print(__name__, __package__, __spec__.name, __file__, sys.argv, sys.path[0])"
    )
    write(tmp_path, {"single.py": show, "pack/__init__.py": "", "pack/__main__.py": show})
    write(tmp_path, {"pack/part.py": "from . import __name__ as n; print(n); " + show})
    for module in ("single", "pack", "pack.part"):
        real = python(tmp_path, "-m", module, "a", "-b")
        ours = python(tmp_path, "-m", "facula", "run", "-m", module, "a", "-b")
        assert (ours.returncode, ours.stderr) == (0, "")
        assert ours.stdout == real.stdout != ""


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (["-m", "nothing_here"], 1, "no module named 'nothing_here'"),
        (["-m", "empty.nothing"], 1, "no module named 'empty.nothing'"),
        (["-m", "empty"], 1, "'empty' is a package and can't be run"),
        (["missing.py"], 2, "missing.py': no such file"),
        (["empty"], 1, "can't find '__main__' module in 'empty'"),
    ],
)
def test_nothing_to_run(tmp_path, args, status, words):
    write(tmp_path, {"empty/__init__.py": ""})
    done = python(tmp_path, "-m", "facula", "run", *args)
    assert done.returncode == status
    assert done.stderr.startswith("facula: ") and words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_module_that_fails_shows_its_traceback(tmp_path):
    write(tmp_path, {"slip.py": "1 / 0", "pack/__init__.py": "import absent_thing"})
    done = python(tmp_path, "-m", "facula", "run", "-m", "slip")
    assert done.returncode == 1 and "run.py" not in done.stderr
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"
    done = python(tmp_path, "-m", "facula", "run", "-m", "pack.part")
    assert done.returncode == 1 and "No module named 'absent_thing'" in done.stderr


def test_a_folder_and_a_zip_run_their_main(tmp_path):
    show = "import sys, beside; print(__name__, sys.argv, sys.path[0], beside.x)"
    write(tmp_path, {"app/__main__.py": show, "app/beside.py": "x = 5"})
    python(tmp_path, "-m", "zipapp", "app", "-o", "app.zip")
    for what in ("app", "app.zip"):
        real = python(tmp_path, what, "a")
        ours = python(tmp_path, "-m", "facula", "run", what, "a")
        assert (ours.returncode, ours.stderr) == (0, "")
        assert ours.stdout == real.stdout != ""


def test_with_a_safe_path_the_folder_of_the_script_stays_out(tmp_path):
    text = "import sys; print(any(p.endswith('apart') for p in sys.path))"
    write(tmp_path, {"apart/s.py": text})
    assert python(tmp_path, "apart/s.py").stdout == "True\n"
    assert python(tmp_path, "-P", "apart/s.py").stdout == "False\n"
    assert python(tmp_path, "-P", "-m", "facula", "run", "apart/s.py").stdout == "False\n"


CHILDREN = """
import multiprocessing, subprocess, sys
import torch
import facula

def work(x):
    import torch, facula, facula.run
    return x, torch is facula and facula.run.installed()

if __name__ == "__main__":
    for method in multiprocessing.get_all_start_methods():
        if method == "fork":
            continue  # shares our memory, and Python warns where threads are running
        with multiprocessing.get_context(method).Pool(1) as pool:
            assert pool.map(work, [1, 2]) == [(1, True), (2, True)], method
    child = "import torch, facula; print(torch is facula)"
    done = subprocess.run([sys.executable, "-c", child], capture_output=True, text=True)
    print(done.stdout, done.stderr, sys.argv)
"""


def test_child_processes_are_switched_too(tmp_path):
    write(tmp_path, {"s.py": CHILDREN})
    done = python(tmp_path, "-m", "facula", "run", "s.py", "a")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "True\n  ['s.py', 'a']\n"


def test_children_find_facula_where_the_parent_found_it(tmp_path):
    """A parent may know Facula's folder from a path that children don't have."""
    shim = str(ROOT / "facula" / "_children")
    script = (
        "import sys; sys.path = [p for p in sys.path if p != sys.argv[1]]; "
        "import torch; print(torch.__name__, torch.__spec__.name)"
    )
    done = python(tmp_path, "-c", script, str(ROOT), path=shim)
    assert (done.returncode, done.stdout) == (0, "torch facula\n"), done.stderr


REAL = """
import importlib, pkgutil, sys
import torch
import facula

functions = {n: v for n, v in vars(facula).items() if callable(v)}
names = [m.name for m in pkgutil.walk_packages(facula.__path__, "facula.")]
assert "facula.nn.functional" in names
for name in names:
    if "_children" in name or name.endswith("__main__"):
        continue
    alias = "torch" + name.removeprefix("facula")
    try:
        module = importlib.import_module(alias)
    except ModuleNotFoundError as e:
        named, said, _ = str(e).partition(" is not in Facula")
        assert said and (alias + ".").startswith(named + ".")
        continue
    assert module is sys.modules[name] is sys.modules[alias]
    assert module.__name__ == module.__spec__.name == name
assert {n: vars(facula)[n] for n in functions} == functions  # no module in a function's place
assert "torch.run" not in sys.modules and "torch.cli" not in sys.modules
assert torch.nn.functional is facula.nn.functional
from torch.nn.parallel.data_parallel import DataParallel  # behind the function of that name
assert torch.nn.parallel.data_parallel.__module__ == DataParallel.__module__
assert not hasattr(torch, "no_such_name") and not hasattr(torch.nn, "NoSuchLayer")
"""


def test_every_module_of_facula_has_its_second_name(tmp_path):
    write(tmp_path, {"s.py": REAL})
    done = python(tmp_path, "-m", "facula", "run", "s.py")
    assert done.returncode == 0, done.stderr
