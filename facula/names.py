"""Names of the package that live in modules which are imported when first used."""

from __future__ import annotations

_SUBMODULES = """
    _C _custom_ops __config__ __future__ _dynamo _functorch _guards _higher_order_ops _inductor
    _jit_internal _ops _subclasses _tensor _tensor_str _utils accelerator amp ao array_api autograd
    backends compiler cpu cuda distributed distributions export fft func functional futures fx
    hub jit library linalg masked monitor mps mtia multiprocessing nn notebook onnx ops optim
    overrides profiler quantization quasirandom random return_types serialization signal sparse
    special storage testing torch_version types utils version xpu
"""
SUBMODULES = frozenset(_SUBMODULES.split())

_MODULES = {
    "facula.futures": "Future",
    "facula.jit": "ScriptFunction ScriptModule",
    "facula._C": """DeviceObjType DisableTorchFunction DisableTorchFunctionSubclass
        PyTorchFileReader TensorType""",
    "facula.generator": "Generator",
    "facula.random": """default_generator get_rng_state initial_seed manual_seed seed
        set_rng_state""",
    "facula.sparse": "hspmm smm sspaddmm",
    "facula.sparse.compressed": """sparse_bsc_tensor sparse_bsr_tensor sparse_compressed_tensor
        sparse_csc_tensor sparse_csr_tensor""",
    "facula.sparse.tensor": "sparse_coo_tensor",
    "facula.printing": "get_printoptions set_printoptions",
    "facula.serialization": "load save",
    "facula.amp": "GradScaler autocast is_autocast_available",
    "facula.amp.autocast_mode": """autocast_decrement_nesting autocast_increment_nesting
        clear_autocast_cache get_autocast_cpu_dtype get_autocast_dtype get_autocast_gpu_dtype
        is_autocast_cache_enabled is_autocast_cpu_enabled is_autocast_enabled
        set_autocast_cache_enabled set_autocast_cpu_dtype set_autocast_cpu_enabled
        set_autocast_dtype set_autocast_enabled set_autocast_gpu_dtype""",
    "facula.checks": """_assert _assert_async _check _check_index _check_is_size
        _check_not_implemented _check_tensor_all _check_tensor_all_with _check_type
        _check_value _check_with""",
    "facula.streams": "Event Stream",
    "facula.notebook": "load_ipython_extension unload_ipython_extension",
    "facula.func.vmap": "vmap",
    "facula._higher_order_ops.control": "cond while_loop",
    "facula.optimized": "compile",
    "facula.memory": "StorageBase TypedStorage UntypedStorage",
    "facula.legacy": """BFloat16Tensor BoolTensor ByteTensor CharTensor DoubleTensor FloatTensor
        HalfTensor IntTensor LongTensor ShortTensor BFloat16Storage BoolStorage ByteStorage
        CharStorage ComplexDoubleStorage ComplexFloatStorage DoubleStorage FloatStorage HalfStorage
        IntStorage LongStorage ShortStorage Storage""",
    "facula.symbolic": """SymBool SymFloat SymInt sym_float sym_int sym_ite sym_max sym_min sym_not
        sym_sqrt sym_sum""",
    "facula.switches": """are_deterministic_algorithms_enabled get_default_device
        get_deterministic_debug_mode get_device_module get_float32_matmul_precision
        get_num_interop_threads is_anomaly_check_nan_enabled is_anomaly_enabled is_distributed
        is_inference is_storage set_anomaly_enabled is_deterministic_algorithms_warn_only_enabled
        is_warn_always_enabled set_default_device set_default_tensor_type
        set_deterministic_debug_mode set_float32_matmul_precision set_flush_denormal
        set_num_interop_threads set_warn_always typename use_deterministic_algorithms""",
}
HOME = {name: module for module, names in _MODULES.items() for name in names.split()}
