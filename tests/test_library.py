"""Operators that libraries bring, and the compiled ones of torchvision that are here in Python."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import facula
from facula import library


@pytest.fixture(autouse=True)
def _operators():
    before = dict(library._OPERATORS)
    yield
    library._OPERATORS.clear()
    library._OPERATORS.update(before)


def test_a_function_becomes_an_operator_with_a_derivative():
    @library.custom_op("mine::double", mutates_args=())
    def double(x: facula.Tensor) -> facula.Tensor:
        return x * 2

    @double.register_fake
    def _(x):
        return facula.empty_like(x)

    double.register_autograd(lambda ctx, g: g * 3, setup_context=lambda ctx, inputs, output: None)
    x = facula.ones(2, requires_grad=True)
    y = facula.ops.mine.double(x)
    y.sum().backward()
    assert y.tolist() == [2, 2] and x.grad.tolist() == [3, 3]
    assert repr(facula.ops.mine.double.default) == "mine.double.default"


def test_operands_by_name_and_those_that_have_no_place():
    seen = []

    @library.custom_op("mine::scaled", mutates_args=())
    def scaled(x: facula.Tensor, y: facula.Tensor, by: float = 2) -> facula.Tensor:
        return x * y * by

    def remember(ctx, inputs, output):
        seen.append(len(inputs))
        ctx.save_for_backward(*inputs[:2])
        ctx.by = inputs[2]

    def derive(ctx, g):
        x, y = ctx.saved_tensors
        return g * y * ctx.by, g * x * ctx.by, None

    scaled.register_autograd(derive, setup_context=remember)
    x, y = facula.full((2,), 3.0, requires_grad=True), facula.full((2,), 5.0, requires_grad=True)
    facula.ops.mine.scaled(x, y=y).sum().backward()
    assert (x.grad.tolist(), y.grad.tolist(), seen) == ([10, 10], [6, 6], [3])

    @library.custom_op("mine::named", mutates_args=())
    def named(x: facula.Tensor, *, by: float) -> facula.Tensor:
        return x * by

    def of_named(ctx, inputs, keyword_only_inputs, output):
        ctx.by = keyword_only_inputs["by"]

    named.register_autograd(lambda ctx, g: g * ctx.by, setup_context=of_named)
    facula.ops.mine.named(x, by=7).sum().backward()
    assert x.grad.tolist() == [17, 17]


def test_a_library_defines_and_implements():
    mine = library.Library("mine", "DEF")
    mine.define("f(Tensor x) -> Tensor")
    with pytest.raises(NotImplementedError, match=r"mine\.f"):
        facula.ops.mine.f(1)
    mine.impl("f", lambda x: x + 1, "CPU")
    mine.impl("f", lambda x: x + 2, "CUDA")  # of another device: not used
    assert facula.ops.mine.f(1) == 2
    with pytest.raises(AttributeError, match=r"torch\.ops\.mine\.g is not in Facula"):
        facula.ops.mine.g
    with pytest.raises(AttributeError, match=r"torch\.ops\.yours is not in Facula"):
        facula.ops.yours
    with pytest.raises(RuntimeError, match="mine::g does not exist"):
        library.impl("mine::g", "cpu", abs)
    with pytest.raises(ValueError, match="namespace::name"):
        library.custom_op("f", mutates_args=())


def test_what_a_schema_is_made_of_is_annotated():
    with pytest.raises(ValueError, match="Parameter x must have a type annotation"):
        library.custom_op("mine::h", lambda x: x, mutates_args=())

    def unsaid(x: facula.Tensor):
        return x

    with pytest.raises(ValueError, match="No return type annotation"):
        library.custom_op("mine::h", unsaid, mutates_args=())
    assert library.custom_op("mine::h", unsaid, mutates_args=(), schema="(Tensor x) -> Tensor")


def test_a_library_is_implemented_by_the_older_decorator():
    mine = library.Library("mine", "DEF")
    mine.define("f(Tensor x) -> Tensor")

    @library.impl(mine, "f", "CPU")
    def add(x):
        return x + 1

    assert facula.ops.mine.f(1) == add(1) == 2


def test_an_operator_without_a_derivative_says_so():
    @library.custom_op("mine::plain", mutates_args=())
    def plain(x: facula.Tensor) -> facula.Tensor:
        assert not facula.is_grad_enabled()
        return x * 2

    x = facula.ones(2, requires_grad=True)
    y = plain(x)
    assert y.tolist() == [2, 2] and not plain(x.detach()).requires_grad
    assert y.grad_fn.name() == "GeneratedBackwardFor_mine_plain_defaultBackward"
    with pytest.raises(
        RuntimeError, match=r"backward through mine\.plain\.default but no autograd"
    ):
        y.sum().backward()
    with pytest.raises(RuntimeError, match=r"mine::plain\(\): missing a required argument: 'x'"):
        plain()


def test_an_operator_that_writes():
    @library.custom_op("mine::add_one", mutates_args={"x"})
    def add_one(x: facula.Tensor) -> None:
        x.add_(1)

    x = facula.zeros(2, requires_grad=True)
    assert add_one(x) is None and x.tolist() == [1, 1]
    y = x * 1
    z = y * y
    add_one(y)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_results_of_an_operator_have_their_own_memory():
    def same(x: facula.Tensor) -> facula.Tensor:
        return x

    def view(x: facula.Tensor) -> facula.Tensor:
        return x.view(-1)

    def twice(x: facula.Tensor) -> tuple[facula.Tensor, facula.Tensor]:
        y = x + 1
        return y, y

    for f in (same, view, twice):
        with pytest.raises(RuntimeError, match="may not alias any inputs"):
            library.custom_op("mine::aliased", f, mutates_args=())(facula.ones(2))


def test_lists_of_tensors_have_gradients():
    @library.custom_op("mine::scale", mutates_args=())
    def scale(xs: list[facula.Tensor], shape: Sequence[int], n: int = 2) -> list[facula.Tensor]:
        return [x * n for x in xs]

    seen = []

    def remember(ctx, inputs, output):
        seen.append((len(inputs), type(inputs[0]), inputs[1:], ctx.needs_input_grad[:3]))
        ctx.n = inputs[2]

    def derive(ctx, grads):
        seen.append([g.tolist() for g in grads])
        return [g * ctx.n for g in grads], None, None

    scale.register_autograd(derive, setup_context=remember)
    a, b = facula.ones(2, requires_grad=True), facula.ones(2)
    first, second = scale((a, b), (4, 5), n=3)
    first.sum().backward()
    assert a.grad.tolist() == [3, 3] and second.requires_grad
    assert seen == [(3, list, ([4, 5], 3), (True, False, False)), [[1, 1], [0, 0]]]
    scale.register_autograd(lambda ctx, grads: grads[0], setup_context=remember)
    with pytest.raises(RuntimeError, match="of the same structure as the inputs"):
        scale([a, b], [4])[0].sum().backward()


def test_tensors_without_values_and_batches():
    @library.custom_op("mine::outside", mutates_args=())
    def outside(x: facula.Tensor) -> facula.Tensor:
        return facula.from_numpy(np.sin(x.numpy()))

    library.register_fake("mine::outside", facula.empty_like)
    assert outside(facula.empty(3, device="meta")).shape == (3,)
    x = facula.arange(6.0).reshape(2, 3)
    with pytest.raises(RuntimeError, match="does not have vmap support"):
        facula.vmap(outside)(x)
    library.register_vmap("mine::outside", lambda info, dims, x: (outside(x), dims[0]))
    assert facula.vmap(outside, 1)(x).tolist() == x.sin().mT.tolist()


def test_compiled_libraries_are_refused_as_pytorch_refuses_broken_ones():
    with pytest.raises(OSError, match=r"some\.so"):
        facula.ops.load_library("some.so")


# what torchvision's compiled part is called, up to 0.28 and from 0.29 on
@pytest.mark.parametrize("library", ["_C.so", "_C_stable.so"])
def test_nms_keeps_the_best_of_boxes_that_overlap(library):
    facula.ops.load_library(f"lib/torchvision/{library}")
    boxes = facula.tensor([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30], [0, 0, 5, 10.0]])
    scores = facula.tensor([0.8, 0.9, 0.1, 0.7])
    nms = facula.ops.torchvision.nms
    assert nms(boxes, scores, 0.5).tolist() == [1, 3, 2]
    assert nms(boxes, scores, 0.3).tolist() == [1, 2]
    assert nms(boxes[:0], scores[:0], 0.3).tolist() == []
    with pytest.raises(RuntimeError, match="N x 4"):
        nms(boxes[0], scores, 0.5)
    with pytest.raises(RuntimeError, match="same number"):
        nms(boxes, scores[:2], 0.5)
    with pytest.raises(NotImplementedError, match="roi_align"):
        facula.ops.torchvision.roi_align(1)


def test_an_asynchronous_condition():
    facula._assert_async(facula.tensor([2.0]))
    with pytest.raises(RuntimeError, match="Expected Tensor with single nonzero value"):
        facula._assert_async(facula.tensor(False))
    with pytest.raises(RuntimeError, match="words"):
        facula._assert_async(facula.tensor(0), "words")
    with pytest.raises(RuntimeError, match="ambiguous"):
        facula._assert_async(facula.tensor([1, 1]))
    with pytest.raises(TypeError, match="must be Tensor, not bool"):
        facula._assert_async(True)


def test_conditions():
    facula._assert(True, "no")
    with pytest.raises(AssertionError, match="no"):
        facula._assert(False, "no")
    with pytest.raises(RuntimeError, match="never"):
        facula._check(False, lambda: "never")
    with pytest.raises(IndexError):
        facula._check_index(False)
    with pytest.raises(ValueError, match="never"):
        facula._check_with(ValueError, False, lambda: "never")
    with pytest.raises(TypeError, match="some"):
        facula._check_tensor_all_with(TypeError, facula.tensor([True, False]), lambda: "some")


def test_functions_and_methods_are_operators_of_aten():
    x = facula.arange(6.0).reshape(2, 3)
    aten = facula.ops.aten
    assert aten is facula.ops.aten and aten.add.Tensor is aten.add.Tensor
    assert aten.add.Tensor(x, x).tolist() == aten.add(x, x).tolist() == (x + x).tolist()
    assert aten.expand.default(x[:1], (2, 3)).shape == (2, 3)
    assert aten.slice.Tensor(x, 1, 0, 2).tolist() == [[0, 1], [3, 4]]
    assert aten.slice.Tensor(x, -1, 1).tolist() == [[1, 2], [4, 5]]
    assert aten.index.Tensor(x, [None, facula.tensor([2, 0])]).tolist() == [[2, 0], [5, 3]]
    assert aten._to_copy.default(x, dtype=facula.int64).dtype is facula.int64
    assert aten.gelu.default(x).shape == aten.alias.default(x).shape == x.shape
    assert repr(aten.add.Tensor) == "<OpOverload(op='aten.add', overload='Tensor')>"


def test_what_aten_lacks_is_named():
    with pytest.raises(AttributeError, match=r"torch\.ops\.aten\.no_such_thing"):
        facula.ops.aten.no_such_thing
    with pytest.raises(NotImplementedError, match=r"torch\.ops\.aten\._no_such_thing"):
        facula.ops.aten._no_such_thing.default(1)


def test_graphs_of_torchscript_are_refused():
    with pytest.raises(NotImplementedError, match="_get_trace_graph"):
        facula.jit._get_trace_graph(abs, 1)


def test_what_libraries_compare_with():
    from facula._dynamo.eval_frame import OptimizedModule
    from facula.amp.grad_scaler import OptState

    assert OptimizedModule is facula._dynamo.OptimizedModule
    assert facula._dynamo.eval_frame.OptimizedModule is OptimizedModule
    assert [s.name for s in OptState] == ["READY", "UNSCALED", "STEPPED"]
    assert repr(facula.DeviceObjType.get()) == "Device"


def test_global_hooks_by_kind():
    module = facula.nn.modules.module
    hooks = module._global_parameter_registration_hooks
    assert len(hooks) == 0
    handle = module.register_module_parameter_registration_hook(print)
    with handle, module.register_module_forward_hook(abs):
        assert list(hooks.values()) == [print] and handle.id in hooks
        assert list(module._global_forward_hooks.values()) == [abs]
    assert len(hooks) == 0


def test_no_mode_makes_tensors_without_data():
    assert facula._guards.active_fake_mode() is None


def test_conditions_are_bool():
    for check in (facula._check, facula._check_index, facula._check_value):
        with pytest.raises(TypeError, match="cond must be a bool, but got a Tensor"):
            check(facula.tensor(True))
        with pytest.raises(TypeError, match="cond must be a bool, but got <class 'int'>"):
            check(1)
    with pytest.raises(TypeError, match="cond must be a tensor"):
        facula._check_tensor_all(True)


def test_modules_that_libraries_name():
    from facula._ops import ops
    from facula._tensor import Tensor
    from facula.cpu.amp import autocast_mode as on_cpu
    from facula.cpu.amp.grad_scaler import GradScaler as OnCpu
    from facula.cuda.amp import autocast_mode
    from facula.cuda.amp.grad_scaler import GradScaler

    assert ops is facula.ops
    assert Tensor is facula.Tensor and facula._tensor.Tensor is Tensor
    assert GradScaler is facula.cuda.amp.GradScaler and OnCpu is facula.cpu.amp.GradScaler
    assert autocast_mode.autocast is facula.cuda.amp.autocast
    assert on_cpu.autocast is facula.cpu.amp.autocast
    assert facula.backends.quantized.engine in facula.backends.quantized.supported_engines
    assert facula.utils.deterministic.fill_uninitialized_memory is True


def test_operators_under_autocast():
    @library.custom_op("mine::cube", mutates_args=())
    def cube(x: facula.Tensor, n: facula.Tensor) -> facula.Tensor:
        return x * x * x

    library.register_autocast("mine::cube", "cpu", facula.bfloat16)
    x, n = facula.rand(3), facula.ones(3, dtype=facula.int64)
    with facula.autocast("cpu", facula.bfloat16):
        assert cube(x, n).dtype is facula.bfloat16
        assert cube(x.double(), n).dtype is facula.float64
    assert cube(x, n).dtype is facula.float32
    with pytest.raises(ValueError, match="'meta' does not support autocast"):
        cube.register_autocast("meta", facula.bfloat16)


def test_a_library_for_a_block():
    with library._scoped_library("block", "FRAGMENT") as lib:
        lib.define("twice(Tensor x) -> Tensor")
        lib.impl("twice", lambda x: x * 2, "CPU")
        assert facula.ops.block.twice(facula.ones(1)).tolist() == [2]
    with pytest.raises(AttributeError, match="block"):
        facula.ops.block.twice(facula.ones(1))
