"""What PyTorch answers about devices, libraries and itself on a machine without a GPU.

    python tests/generate/answers.py    # writes tests/data/answers.json; with PyTorch for the CPU

Each case is an expression and the `repr` of its value, or the name of the exception. The answers
that have to differ are not here but in tests/test_answers.py, with the reason.
"""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import torch
import torch.distributed
import torch.nn.modules.utils
import torch.utils.cpp_extension

OUT = Path(__file__).resolve().parents[1] / "data" / "answers.json"

EXPRESSIONS = """
overrides.has_torch_function((torch.zeros(1), 2))
cuda.is_available()
cuda.device_count()
cuda.is_initialized()
cuda._initialized
cuda.current_device()
cuda.get_device_name(0)
cuda.get_device_properties(0)
cuda.get_device_capability()
cuda.synchronize()
cuda.set_device(-1)
cuda.memory_allocated()
cuda.max_memory_allocated()
cuda.memory_reserved()
cuda.max_memory_reserved()
cuda.memory_stats()
cuda.mem_get_info()
cuda.empty_cache()
cuda.ipc_collect()
cuda.manual_seed(1)
cuda.manual_seed_all(1)
cuda.seed()
cuda.seed_all()
cuda.initial_seed()
cuda.get_rng_state()
cuda.get_rng_state_all()
cuda.set_rng_state_all([])
cuda.is_bf16_supported()
cuda.Stream()
cuda.Event(enable_timing=True)
cuda.current_stream()
cuda.default_stream()
cuda.device(0).__enter__()
cuda.device(-1).__enter__()
cuda.device_of(torch.zeros(1)).__enter__()
cuda.device("cpu")
cuda.init()
cuda.FloatTensor(2)
cuda.nvtx.range_push("a")
cuda.nvtx.range("a")(print).__name__
cuda.nvtx.range("a").__enter__()
cuda.get_arch_list()
cuda.CUDAGraph()
cuda.can_device_access_peer(0, 1)
cuda.has_half
cuda.has_magma
cuda.default_generators
cuda.random.get_rng_state_all()
zeros(1).cuda()
zeros(1).cuda("cpu")
nn.Linear(1, 1).cuda(torch.device("cpu"))
zeros(1, device="cuda")
zeros(1).to("cuda")
nn.Linear(1, 1).cuda()
accelerator.is_available()
accelerator.current_accelerator()
accelerator.device_count()
accelerator.current_device_index()
accelerator.synchronize()
accelerator.current_stream()
accelerator.set_device_index(0)
accelerator.memory_allocated()
mps.is_available()
mps.device_count()
xpu.is_available()
xpu.device_count()
mtia.is_available()
cpu.is_available()
cpu.device_count()
cpu.current_device()
cpu.synchronize()
backends.mps.is_available()
backends.mps.is_built()
backends.cuda.is_built()
backends.cuda.matmul.allow_tf32
backends.cuda.matmul.allow_fp16_reduced_precision_reduction
backends.cuda.flash_sdp_enabled()
backends.cuda.math_sdp_enabled()
backends.cuda.mem_efficient_sdp_enabled()
backends.cuda.cudnn_sdp_enabled()
backends.cuda.enable_flash_sdp(True)
backends.cudnn.enabled
backends.cudnn.benchmark
backends.cudnn.deterministic
backends.cudnn.allow_tf32
backends.cudnn.version()
backends.cudnn.is_available()
backends.cudnn.is_acceptable(torch.zeros(1))
backends.cudnn.flags(enabled=False, benchmark=True).__enter__()
backends.mkldnn.enabled
backends.opt_einsum.is_available()
backends.opt_einsum.enabled
backends.opt_einsum.strategy
backends.cusparselt.is_available()
backends.cpu.get_cpu_capability()[:3]
distributed.is_initialized()
distributed.get_rank()
distributed.get_world_size()
distributed.barrier()
distributed.is_nccl_available()
distributed.is_mpi_available()
distributed.is_torchelastic_launched()
distributed.group.WORLD
distributed.GroupMember.WORLD
nn.parallel.DistributedDataParallel(torch.nn.Linear(1, 1))
nn.DataParallel(torch.nn.Linear(1, 2))
nn.DataParallel(torch.nn.Linear(1, 2)).device_ids
list(torch.nn.DataParallel(torch.nn.Linear(1, 2)).state_dict())
nn.DataParallel(torch.nn.Linear(1, 2))(torch.zeros(3, 1)).shape
compile(torch.nn.Linear(2, 3))
list(torch.compile(torch.nn.Linear(2, 3)).state_dict())
compile(torch.nn.Linear(2, 3)).in_features
compile(torch.nn.Linear(2, 3)).eval().training
compile(mode="default")(max)(1, 2)
compile(torch.nn.Linear(1, 1), mode="default", options={})
compiler.is_compiling()
compiler.disable(abs)(-1)
compiler.disable()(abs)(-1)
jit.is_scripting()
jit.is_tracing()
jit.annotate(int, 3)
jit.isinstance([1, 2], __import__("typing").List[int])
jit.isinstance([1, "a"], __import__("typing").List[int])
jit.isinstance({"a": 1}, __import__("typing").Dict[str, int])
jit.isinstance((1, "a"), __import__("typing").Tuple[int, str])
jit.isinstance(None, __import__("typing").Optional[int])
jit.fork(max, 1, 2).wait()
onnx.is_in_onnx_export()
version.cuda
version.hip
version.debug
__version__ >= "1.7"
__version__ >= "2.13"
__version__ >= "2.14"
__version__ < (1, 10)
__version__ > "2.9"
__version__ == "2.13.0a"
__version__ > "2.13.0rc1"
__version__.startswith("2.13.0")
[int(n) for n in torch.__version__.split("+")[0].split(".")]
__version__ == "parrot"
get_default_device()
set_default_device("cpu")
get_float32_matmul_precision()
set_float32_matmul_precision("high")
get_float32_matmul_precision()
set_float32_matmul_precision("highest")
are_deterministic_algorithms_enabled()
use_deterministic_algorithms(True, warn_only=True)
are_deterministic_algorithms_enabled()
get_deterministic_debug_mode()
set_deterministic_debug_mode("default")
get_deterministic_debug_mode()
is_deterministic_algorithms_warn_only_enabled()
set_num_interop_threads(0)
set_default_tensor_type("torch.DoubleTensor")
zeros(1).dtype
set_default_tensor_type(torch.FloatTensor)
set_default_tensor_type("torch.IntTensor")
set_default_tensor_type("torch.cuda.FloatTensor")
typename(torch.zeros(1))
typename(1)
typename(int)
typename(torch.nn.Linear(1, 1))[-6:]
get_device_module("cpu").current_device()
multiprocessing.get_sharing_strategy()
sorted(torch.multiprocessing.get_all_sharing_strategies())
multiprocessing.set_sharing_strategy("smoke signals")
multiprocessing.Queue.__name__
utils.cpp_extension.CUDA_HOME
nn.modules.utils._pair(3)
nn.modules.utils._triple((1, 2, 3))
nn.modules.utils._ntuple(4)([1, 2])
nn.modules.utils._reverse_repeat_tuple((1, 2), 2)
nn.modules.utils._list_with_default([None, 3], [7, 8, 9])
nn.attention.SDPBackend.MATH
nn.attention.sdpa_kernel("flash").__enter__()
overrides.is_tensor_like(torch.zeros(1))
overrides.is_tensor_like([1])
hub.load(".", "f", source="nowhere")
hub.load(".", "f", source="local")
"""


def answer(expression: str) -> str:
    """The repr of a value, or the name of the exception's type."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            plain = expression.startswith(("list(", "sorted(", "["))
            text = expression if plain else "torch." + expression
            return repr(eval(text, {"torch": torch}))
    except Exception as error:
        return f"raises {type(error).__name__}"


def main() -> None:
    """Write the file."""
    cases = [[e, answer(e)] for e in EXPRESSIONS.split("\n") if e]
    OUT.write_text(json.dumps(cases, indent=0) + "\n")


if __name__ == "__main__":
    main()
