"""Runs programs on a framework and says what came of them: `python execute.py MODULE < programs`.

Lists of programs come in, their reports go out (`isolated.py`), until the input ends.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import copy
import importlib
import io
import math
import os
import pickle
import re
import sys
import warnings
import weakref
from unittest import mock

import numpy as np

sys.path[:0] = [os.path.dirname(os.path.dirname(os.path.abspath(__file__)))]
from fuzz import functions, isolated  # noqa: E402

# Writes that read operands elsewhere than where they write, without a copy.
WHOLE = {
    *("addmm_", "addmv_", "addr_", "masked_scatter_", "index_add_", "index_copy_", "index_fill_"),
    *("index_put_", "index_reduce_", "put_", "scatter_", "scatter_add_", "scatter_reduce_"),
}
# Errors after which there is nothing to compare: of PyTorch's own; of a tensor that has the new
# size all the same; and of what PyTorch does not offer.
BROKEN = (
    *("INTERNAL ASSERT", "not resizable", "torch.utils.checkpoint is incompatible with .grad()"),
    "don't yet support saved tensor hooks",
)
PASSES = ("backward(", "autograd.grad(")
PATIENCE = int(os.environ.get("FUZZ_PATIENCE", 300))  # seconds for one program


def names_for(torch, values: list) -> dict:
    """The names that a program may use."""

    def tidy(x):  # how derivatives lie in memory is up to the formulas
        return x.clone(memory_format=torch.contiguous_format)

    settle = getattr(torch, "synchronize", int)  # what has a history may not be pending elsewhere

    def in_thread(f):
        def call():
            try:
                return f()
            finally:
                settle()

        settle()
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            return pool.submit(call).result()

    def stored(x):
        memory = io.BytesIO()
        torch.save(x, memory)
        memory.seek(0)
        return torch.load(memory)

    return {
        **functions.functions(torch),
        "in_thread": in_thread,
        "stored": stored,
        "torch": torch,
        "fwAD": importlib.import_module(f"{torch.__name__}.autograd.forward_ad"),
        "np": np,
        "copy": copy,
        "io": io,
        "pickle": pickle,
        "held": lambda t: torch.zeros_like(t.detach()) if t.grad is None else t.grad,
        "some": lambda x, t: (
            torch.zeros_like(t.detach())
            if x is None
            else x.clone(memory_format=torch.contiguous_format)
        ),
        "out": lambda x: values.append(plain(x)),
        "tidy": tidy,
        # What a tangent depends on by its formulas alone is not what it depends on here.
        "firm": lambda y, x: tidy((y if x.requires_grad else y.detach()) + x.sum() * 0),
        "steps": lambda t: [s for s, n in zip(t.stride(), t.shape) if n != 1 and t.numel()],
    }


def run(program: dict, torch, after_step=None) -> dict:
    """What each step did, and all tensors at the end.

    An error in a step is noted by the type of the exception, and the program goes on. What a
    failed pass has added to gradients by then is not part of PyTorch's behaviour that anybody can
    rely on, so they are set back.
    """
    values: list = []
    names = names_for(torch, values)
    outcomes: list = []
    born: dict = {}
    broken = False
    torch.set_grad_enabled(True)
    for source in [*program["bases"], *program["steps"]]:
        before = _gradients(names, torch) if any(p in source for p in PASSES) else None
        values.clear()
        try:
            exec(source, names)
        except Exception as e:
            outcomes.append(type(e).__name__)
            broken |= any([text in str(e) for text in BROKEN])
            if before is not None:
                for t, g, kept in before:
                    if g is None or g.shape == t.shape:  # else t was reshaped in place
                        t.grad = g
                    if g is not None:
                        # One whose elements share memory is not added to, and can't be written.
                        with contextlib.suppress(RuntimeError):
                            g.data.copy_(kept)
        else:
            outcomes.append(list(values) if values else "ok")
            for n in source.partition(" = ")[0].rpartition(": ")[2].split(", "):
                if is_tensor_name(n) and isinstance(names.get(n), torch.Tensor):
                    if n not in born or born[n][0]() is not names[n]:
                        born[n] = weakref.ref(names[n]), version(names[n])
        if after_step is not None:
            after_step(names)
    torch.set_grad_enabled(True)
    final = {
        n: state(names[n], torch, born.get(n, (None, 0))[1]) for n in names if is_tensor_name(n)
    }
    return {"outcomes": outcomes, "final": final, "broken": broken}


def is_tensor_name(name: str) -> bool:
    return name[0] == "v" and name[1:].isdigit()


def _gradients(names: dict, torch) -> list:
    out, held = [], []
    for t in names.values():
        held.extend(t.parameters() if isinstance(t, torch.nn.Module) else [t])
    for t in held:
        if isinstance(t, torch.Tensor):
            try:
                g = t.grad
            except RuntimeError:
                continue
            out.append((t, g, None if g is None else g.detach().clone()))
    return out


def version(t) -> int:
    """How often a tensor was written; one of inference mode does not count."""
    return 0 if t.is_inference() else t._version


def plain(x):
    """A value as plain data."""
    return tuple(x) if isinstance(x, tuple) else x


def state(t, torch, born: int) -> dict | str:
    """All that can be asked of a tensor; `born` is the version that it had at first."""
    if not isinstance(t, torch.Tensor):
        return repr(t)
    out = {
        "shape": tuple(t.shape),
        "strides": tuple(t.stride()),
        "offset": t.storage_offset() - (0 if t._base is None else t._base.storage_offset()),
        "view": t._base is not None,
        "dtype": str(t.dtype).rpartition(".")[2],
        "version": version(t) - born,
    }
    for what in ("requires_grad", "is_leaf", "grad_fn"):
        try:
            x = getattr(t, what)
            out[what] = x if what != "grad_fn" else x is not None
        except RuntimeError as e:
            out[what] = "internal" if "INTERNAL ASSERT" in str(e) else "RuntimeError"
    out["values"] = t.detach().tolist()
    try:
        g = t.grad
    except RuntimeError:
        out["grad"] = "RuntimeError"
        return out
    out["grad"] = (
        None
        if g is None
        else {
            "shape": tuple(g.shape),
            "values": g.tolist(),
            "requires_grad": g.requires_grad,
            "dtype": str(g.dtype).rpartition(".")[2],
            "strides": tuple(g.stride()),
        }
    )
    return out


def spoilt(program: dict, torch) -> bool:
    """Whether a backward pass meets a saved value that was changed behind autograd's back.

    Writing through `.data` is not noticed by autograd; PyTorch's documentation says that gradients
    are wrong then. Nor is it noticed where `save_on_cpu` keeps a tensor of the CPU, which is the
    tensor itself. Such a program has no right answer.
    """
    found = []

    def pack(t):
        return t, t.detach().clone(), t._version

    def unpack(saved):
        t, _, version = saved
        if t._version != version:
            raise RuntimeError("modified by an inplace operation")
        return look(saved)

    def look(saved):
        t, copy, _ = saved
        if not torch.equal(t.detach().nan_to_num(), copy.nan_to_num()):
            found.append(1)
        return t

    graph = torch.autograd.graph
    kept = mock.patch.object(graph, "save_on_cpu", lambda: graph.saved_tensors_hooks(pack, look))
    with kept, graph.saved_tensors_hooks(pack, unpack):
        run(program, torch)
    return bool(found)


BEHIND = re.compile(r"\.data|numpy|save_on_cpu")
ORDER = "the result depends on the order in which elements are written"
HALF = "a write by indices that fails has written a part"
RESIZED = "an operation that fails has resized its out="


def writes_amiss(program: dict, torch) -> str | None:
    """Whether a write succeeds that has an operand in a part of the memory that it writes, or
    that writes elements which lie at one place; or whether one by indices fails half-way.

    PyTorch refuses such a write where it notices; elsewhere the result depends on the order in
    which the elements are visited. It looks at an index where it uses it: what a loop has written
    by then depends on its order too.
    """
    found = []

    def places(t):
        index = torch.full(t.shape, t.storage_offset())
        for d, (n, step) in enumerate(zip(t.shape, t.stride())):
            index += (torch.arange(n) * step).reshape([-1] + [1] * (t.dim() - d - 1))
        return index.reshape(-1).tolist()

    class Watch(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            kwargs = kwargs or {}
            name = getattr(func, "__name__", "")
            by_index = name in WHOLE or name == "__setitem__"
            before = args[0].detach().clone() if by_index else None
            given = kwargs.get("out", ())
            given = [given] if isinstance(given, torch.Tensor) else given
            shapes = [t.shape for t in given]
            try:
                out = func(*args, **kwargs)
            except (RuntimeError, IndexError, TypeError):
                if shapes != [t.shape for t in given]:
                    found.append(RESIZED)
                if before is not None and not same(before, args[0].detach()):
                    found.append(HALF)
                raise
            target, others, whole = None, (), name in WHOLE
            if "out" in kwargs:
                target, others = kwargs["out"], args
            elif name == "__setitem__":
                target, others = args[0], args[1:]
                try:
                    part = args[0].detach()[args[1]]
                except Exception:
                    part = None
                if part is not None and part.untyped_storage().data_ptr() == (
                    target.untyped_storage().data_ptr()
                ):
                    target, others = part, args[2:]
                else:  # picked by indices, which are visited one after the other
                    many = isinstance(args[2], torch.Tensor) and args[2].numel() > 1
                    others, whole = args[2:] if many else (), True
                    if many and not args[2].is_contiguous() and self.meet(*args[:2]):
                        found.append(ORDER)  # it is that of the values in memory
            elif args and (
                (name.endswith("_") and name[-2:] != "__")
                or (name.startswith("__i") and name not in ("__init__", "__invert__", "__index__"))
            ):
                target, others = args[0], (*args[1:], *kwargs.values())
            if target is not None:
                if len(set(places(target))) < target.numel():
                    found.append(ORDER)
                flat = []
                for o in others:
                    flat.extend(o if isinstance(o, (tuple, list)) else [o])
                for o in flat:
                    if isinstance(o, torch.Tensor) and (o is not target or whole):
                        self.check(target, o, whole)
            return out

        def meet(self, target, index):
            """Whether indices pick an element more than once."""
            picked = torch.arange(target.numel()).reshape(target.shape)[index]
            return len(picked.unique()) < picked.numel()

        def check(self, target, o, whole):
            if o.untyped_storage().data_ptr() != target.untyped_storage().data_ptr():
                return
            a, b = places(target), places(o)
            if (whole or a != b or target.dim() != o.dim()) and set(a) & set(b):
                found.append(ORDER)

    def same(a, b):
        return a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num())

    with Watch():
        run(program, torch)
    return found[0] if found else None


# Functions whose results are rounded, so that their last bit is nobody's business.
ROUNDED = {
    *("acos", "asin", "atan", "cos", "cosh", "cube", "cumprod", "cumsum", "div", "einsum", "erf"),
    *("exp", "expm1", "gelu", "layer_norm", "lerp", "linear", "log", "log1p", "log_softmax"),
    *("logsumexp", "matmul", "mean", "mm", "mul", "norm", "normalize", "pow", "prod", "rsqrt"),
    *("sigmoid", "silu", "sin", "sinh", "softmax", "softplus", "sqrt", "std", "sum", "tan"),
    *("tanh", "true_divide", "truediv", "var"),
}


# Those that add up products, or squares, within: small errors of their operands are in the result
# at least, so that where the terms cancel it is nothing but rounding.
CANCELLING = {"addcmul", "cross", "dot", "lerp", "matmul", "mm", "std", "var"}
# Those that choose among equal numbers, of which zeros may have either sign.
CHOOSING = {
    *("amax", "amin", "clamp", "clamp_max", "clamp_min", "cummax", "cummin", "fmax", "fmin"),
    *("max", "maximum", "min", "minimum"),
}
# What is moved in a second run, and whether up or down: results, values saved for backward passes,
# operands of what cancels; what cancels to rounding is 0; the sign of a chosen zero.
NUDGES = [(up, what) for what in ("results", "saved", "operands") for up in (True, False)]
NUDGES += [(True, "cancelled"), (True, "zeros")]


def run_nudged(program: dict, torch, up: bool, what: str) -> dict:
    """The report of a program when what rounding or order decides is another: see `NUDGES`."""

    def moved(x):
        x = x.detach().clone()
        y = torch.nextafter(x, torch.full_like(x, math.inf if up else -math.inf))
        return y.where(x.isfinite() & (x != 0), x)

    def real(x):
        return isinstance(x, torch.Tensor) and x.is_floating_point()

    class Nudge(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, func, types, args=(), kwargs=None):
            name = getattr(func, "__name__", "").strip("_").removeprefix("i")
            if what == "operands" and func.__name__ in CANCELLING and real(args[0]):
                with contextlib.suppress(RuntimeError):  # of a batch
                    args = (args[0] + (moved(args[0]) - args[0].detach()), *args[1:])
            out = func(*args, **(kwargs or {}))
            with contextlib.suppress(RuntimeError):  # a batch's is no tensor of its own
                if what == "results" and name in ROUNDED and real(out):
                    out.data.copy_(moved(out))
                elif what == "cancelled" and func.__name__ in CANCELLING and real(out):
                    bound = torch.finfo(out.dtype).eps * max(1.0, args[0].detach().abs().max())
                    out.data.copy_(out.where(out.detach().abs() > bound, 0))
                elif what == "zeros" and name in CHOOSING:
                    first = out[0] if isinstance(out, tuple) else out
                    if real(first):
                        first.data.copy_((-first).where(first == 0, first))
            return out

    def pack(t):
        return moved(t) if t.is_floating_point() else t

    hooks = torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t)
    with hooks if what == "saved" else Nudge():
        return run(program, torch)


def answer(program: dict, torch) -> dict:
    """The report of a program, and why it is none to compare with, if so."""
    if "nudged" in program:
        return run_nudged(program, torch, *program["nudged"])
    report = run(program, torch)
    report["spoilt"] = None
    states = [s for s in report["final"].values() if isinstance(s, dict)]
    if report["broken"] or any("internal" in s.values() for s in states):
        report["spoilt"] = "an error after which there is nothing to compare"
    elif BEHIND.search("".join(program["steps"])) and spoilt(program, torch):
        report["spoilt"] = "a saved value was changed without autograd's knowledge"
    else:
        report["spoilt"] = writes_amiss(program, torch)
    return report


def answers(batch: list[dict], torch) -> list[dict]:
    """The reports of programs, made in a child: PyTorch itself dies on some of them."""
    dead = {"outcomes": [], "final": {}, "spoilt": "PyTorch dies"}
    return isolated.results(batch, lambda program: answer(program, torch), PATIENCE, dead)


def warm(torch) -> None:
    """Import what PyTorch imports at first use, for four seconds, so that no child has to."""
    with contextlib.suppress(ImportError):  # given gradients ask for it
        importlib.import_module(f"{torch.__name__}.fx.experimental.symbolic_shapes")
    torch.func.grad(lambda x: torch.vmap(lambda t: t)(x).sum())(torch.ones(1))
    p = torch.ones(1, requires_grad=True)
    p.grad = torch.ones(1)
    torch.optim.SGD([p], lr=0.1).step()


def main() -> None:
    warnings.simplefilter("ignore")
    torch = importlib.import_module(sys.argv[1])
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
    warm(torch)
    out = os.dup(1)
    os.dup2(2, 1)  # what is printed is no answer
    while True:
        try:
            programs = isolated.receive(0)
        except EOFError:
            return
        isolated.send(out, answers(programs, torch))


if __name__ == "__main__":
    main()
