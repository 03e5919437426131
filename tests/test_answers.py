"""Questions that programs ask about devices, libraries and PyTorch itself, and PyTorch's answers.

The modules that answer them have little else: `cuda`, `accelerator`, `backends`, `distributed`,
`jit`, `compiler`, `multiprocessing`, `version`, `switches`, `nn.parallel`, ... The answers come
from a PyTorch without CUDA; see tests/generate/answers.py.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import facula
import facula.distributed
import facula.hub
import facula.nn.modules.utils
import facula.utils.cpp_extension

DATA = Path(__file__).parent / "data" / "answers.json"

ANSWERS = json.loads(DATA.read_text())


@pytest.fixture(autouse=True)
def _settings():
    """What a test sets does not outlive it."""
    from facula import multiprocessing, switches

    dtype, settings = facula.get_default_dtype(), dict(switches._settings)
    strategy = multiprocessing.get_sharing_strategy()
    yield
    facula.set_default_dtype(dtype)
    switches._settings.update(settings)
    multiprocessing.set_sharing_strategy(strategy)


def ask(expression: str) -> str:
    plain = expression.startswith(("list(", "sorted(", "["))
    return repr(eval(expression if plain else "torch." + expression, {"torch": facula}))


def test_answers_are_those_of_pytorch_without_a_gpu():
    """In the order of the file, because some set what the next one asks for."""
    wrong = []
    for expression, expected in ANSWERS:
        try:
            found = ask(expression)
        except Exception as error:
            names = [c.__name__ for c in type(error).__mro__]
            kind = expected.removeprefix("raises ")
            found = f"raises {kind}" if kind in names else f"raises {type(error).__name__}"
            assert str(error), expression
        if found != expected:
            wrong.append((expression, found, expected))
    assert not wrong


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (
            lambda: facula.distributed.init_process_group("gloo", "tcp://a:1", None, 2, 0),
            "init_process_group",
        ),
        (lambda: facula.jit.save(None, "f"), "state_dict"),
        (lambda: facula.jit.load("f"), "torch.jit.load"),
        (lambda: facula.onnx.export(None), "torch.onnx.export"),
        (lambda: facula.utils.mobile_optimizer.optimize_for_mobile(None), "optimize_for_mobile"),
        (lambda: facula.hub.load("pytorch/vision", "resnet18"), "source='local'"),
        (lambda: facula.utils.cpp_extension.load("x", ["x.cpp"]), "cpp_extension.load"),
        (lambda: facula.utils.cpp_extension.CUDAExtension("x", []), "CUDAExtension"),
        (lambda: facula.utils.cpp_extension.BuildExtension(), "BuildExtension"),
    ],
)
def test_what_is_not_there_says_so(call, words):
    with pytest.raises(NotImplementedError, match=words) as caught:
        call()
    assert "docs/compatibility.md" in str(caught.value)


def test_distributed_is_not_available():
    """PyTorch's wheels say True and can start processes; Facula can't."""
    assert facula.distributed.is_available() is False


def test_an_accelerator_error_is_both_of_pytorchs():
    with pytest.raises(RuntimeError, match="no CUDA device"):
        facula.cuda.synchronize()
    with pytest.raises(AssertionError, match="no CUDA device"):
        facula.zeros(1, device="cuda")


def test_switches_inside_a_block():
    cudnn = facula.backends.cudnn
    with cudnn.flags(enabled=False, benchmark=True):
        assert (cudnn.enabled, cudnn.benchmark) == (False, True)
    assert (cudnn.enabled, cudnn.benchmark) == (True, False)
    with pytest.raises(ZeroDivisionError), facula.backends.cuda.sdp_kernel(enable_math=False):
        assert facula.backends.cuda.math_sdp_enabled() is False
        raise ZeroDivisionError
    assert facula.backends.cuda.math_sdp_enabled() is True


def test_hub_calls_an_entry_of_a_folder(tmp_path):
    (tmp_path / "hubconf.py").write_text(
        'dependencies = ["json"]\nimport helper\n'
        'def net(n=1):\n    "A net."\n    return helper.make(n)\n'
    )
    (tmp_path / "helper.py").write_text("def make(n): return ['net', n]\n")
    folder = str(tmp_path)
    assert facula.hub.load(folder, "net", n=3, source="local") == ["net", 3]
    assert facula.hub.list(folder, source="local") == ["net"]
    assert facula.hub.help(folder, "net", source="local") == "A net."
    with pytest.raises(RuntimeError, match="callable other"):
        facula.hub.load(folder, "other", source="local")


def test_hub_fetches_weights_once_and_checks_them(tmp_path, monkeypatch):
    import hashlib

    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    facula.save({"w": facula.arange(3)}, tmp_path / "w.pt")
    digest = hashlib.sha256((tmp_path / "w.pt").read_bytes()).hexdigest()
    (tmp_path / "w.pt").rename(tmp_path / f"w-{digest[:8]}.pt")
    url = (tmp_path / f"w-{digest[:8]}.pt").as_uri()
    for _ in range(2):
        state = facula.hub.load_state_dict_from_url(url, check_hash=True)
        assert state["w"].tolist() == [0, 1, 2]
    assert [p.name for p in (tmp_path / "home/hub/checkpoints").iterdir()] == [f"w-{digest[:8]}.pt"]
    with pytest.raises(RuntimeError, match="invalid hash"):
        facula.hub.download_url_to_file(url, str(tmp_path / "other"), "0000")
    assert not (tmp_path / "other").exists()


def test_compile_is_a_decorator_and_keeps_modules_settable():
    @facula.compile(fullgraph=True)
    def double(x):
        return 2 * x

    assert double(facula.ones(2)).tolist() == [2, 2]
    net = facula.nn.Linear(2, 2)
    made = facula.compile(net)
    made.scale = 3
    assert net.scale == 3 and made(facula.zeros(1, 2)).shape == (1, 2)
    made.load_state_dict(made.state_dict())


def test_jit_gives_back_what_it_is_given():
    net = facula.nn.Linear(2, 2)
    x = facula.zeros(1, 2)
    assert facula.jit.script(net) is net and facula.jit.trace(net, x) is net
    assert facula.jit.trace(facula.add, (x, x)) is facula.add
    with pytest.raises(RuntimeError):
        facula.jit.trace(net, facula.zeros(1, 3))

    class Old(facula.jit.ScriptModule):
        @facula.jit.script_method
        def forward(self, x):
            return x + 1

    assert Old()(x).tolist() == [[1, 1]]


SPAWN = """
import torch
import torch.multiprocessing as mp

def work(i, q):
    if q is None and i == 1:
        raise ValueError("worker one is ill")
    if q is not None:
        q.put((i, torch.arange(i)))

if __name__ == "__main__":
    q = mp.get_context("spawn").SimpleQueue()
    mp.spawn(work, args=(q,), nprocs=2)
    print(sorted((i, t.tolist()) for i, t in (q.get(), q.get())))
    try:
        mp.spawn(work, args=(None,), nprocs=2)
    except mp.ProcessRaisedException as e:
        print(e.error_index, "worker one is ill" in str(e))
"""


def test_multiprocessing_spawns_and_tells_of_the_first_failure(tmp_path):
    (tmp_path / "program.py").write_text(SPAWN)
    done = subprocess.run(
        [sys.executable, "-m", "facula", "run", str(tmp_path / "program.py")],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=Path(facula.__file__).parents[1],
    )
    assert done.stdout.splitlines() == ["[(0, []), (1, [0])]", "1 True"], done.stderr


PUBLIC = """
    accelerator amp autograd backends backends.cuda backends.cudnn backends.mps compiler cpu cuda
    distributed fft hub jit linalg masked mps multiprocessing nn nn.attention nn.functional nn.init
    nn.modules nn.modules.utils nn.parallel nn.parameter nn.utils nn.utils.parametrize
    nn.utils.prune nn.utils.rnn onnx optim optim.lr_scheduler optim.optimizer overrides random
    serialization signal signal.windows special types utils utils.cpp_extension utils.data
    utils.data.dataset utils.mobile_optimizer utils.model_zoo version xpu
"""


@pytest.mark.parametrize("name", PUBLIC.split())
def test_a_name_that_a_module_lacks_is_named_and_the_list_is_pointed_to(name):
    module = importlib.import_module(f"facula.{name}")
    with pytest.raises(AttributeError) as caught:
        module.no_such_name
    words = f"torch.{name}.no_such_name is not in Facula (see docs/compatibility.md)"
    assert str(caught.value) == words


@pytest.mark.parametrize("make", [facula.zeros, lambda n: facula.nn.Parameter(facula.zeros(n))])
def test_an_attribute_that_a_tensor_lacks_is_named(make):  # test_run.py: and the list pointed to
    with pytest.raises(AttributeError, match=r"has no attribute 'no_such_name'$"):
        make(1).no_such_name


def test_settings_of_a_compiler_of_graphs_are_remembered():
    import facula._inductor.config as config

    assert facula._inductor.config is config
    before = config.max_autotune, config.triton.cudagraphs
    config.max_autotune, config.triton.cudagraphs = True, True
    assert facula._inductor.config.max_autotune and facula._inductor.config.triton.cudagraphs
    config.max_autotune, config.triton.cudagraphs = before
    with pytest.raises(AttributeError, match="not in Facula"):
        facula._inductor.no_such_name


def test_devices_that_are_not_there_change_nothing():
    module = facula.nn.DataParallel(facula.nn.Linear(1, 2), device_ids=[0, 1])
    assert module.device_ids == [] and module(facula.zeros(3, 1)).shape == (3, 2)
