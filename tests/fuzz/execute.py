"""Runs programs on a framework and says what came of them: `python execute.py MODULE < programs`.

Input and output are pickles: lists of programs in, their reports out, until the input ends.
"""

from __future__ import annotations

import importlib
import pickle
import sys
import warnings

PASSES = ("backward(", "autograd.grad(")


def run(program: dict, torch, after_step=None) -> dict:
    """What each step did, and all tensors at the end.

    An error in a step is noted by the type of the exception, and the program goes on. What a
    failed pass has added to gradients by then is not part of PyTorch's behaviour that anybody can
    rely on, so they are set back.
    """
    values: list = []
    names: dict = {
        "torch": torch,
        "some": lambda x: torch.zeros(()) if x is None else x,
        "out": lambda x: values.append(plain(x)),
    }
    outcomes: list = []
    lossy = program.get("lossy")
    for source in [*program["bases"], *program["steps"]]:
        before = _gradients(names, torch) if any(p in source for p in PASSES) else None
        values.clear()
        try:
            exec(source, names)
        except Exception as e:
            outcomes.append(type(e).__name__)
            if lossy is not None:
                lossy.append(f"{source}: {type(e).__name__}: {e}")
            if before is not None:
                for t, g, copy in before:
                    t.grad = g
                    if g is not None:
                        g.data.copy_(copy)
        else:
            outcomes.append(list(values) if values else "ok")
        if after_step is not None:
            after_step(names)
    torch.set_grad_enabled(True)
    final = {n: state(t, torch) for n, t in names.items() if n[0] == "v" and n[1:].isdigit()}
    return {"outcomes": outcomes, "final": final}


def _gradients(names: dict, torch) -> list:
    out = []
    for t in list(names.values()):
        if isinstance(t, torch.Tensor):
            try:
                g = t.grad
            except RuntimeError:
                continue
            out.append((t, g, None if g is None else g.detach().clone()))
    return out


def plain(x):
    """A value as plain data."""
    return tuple(x) if isinstance(x, tuple) else x


def state(t, torch) -> dict | str:
    """All that can be asked of a tensor."""
    if not isinstance(t, torch.Tensor):
        return repr(t)
    out = {
        "shape": tuple(t.shape),
        "strides": tuple(t.stride()),
        "offset": t.storage_offset(),
        "dtype": str(t.dtype).rpartition(".")[2],
        "version": t._version,
    }
    for what in ("requires_grad", "is_leaf"):
        try:
            out[what] = getattr(t, what)
        except RuntimeError:
            out[what] = "RuntimeError"
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
    are wrong then. Such a program has no right answer.
    """
    found = []

    def pack(t):
        return t, t.detach().clone(), t._version

    def unpack(saved):
        t, copy, version = saved
        same = torch.equal(t.detach().nan_to_num(), copy.nan_to_num())
        if t._version != version:
            raise RuntimeError("modified by an inplace operation")
        if not same:
            found.append(1)
        return t

    with torch.autograd.graph.saved_tensors_hooks(pack, unpack):
        run(program, torch)
    return bool(found)


def reads_what_it_writes(program: dict, torch) -> bool:
    """Whether a write succeeds that has an operand in a part of the memory that it writes, or
    that writes elements which lie at one place.

    PyTorch refuses such a write where it notices; elsewhere the result depends on the order in
    which the elements are visited.
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
            out = func(*args, **kwargs)
            name = getattr(func, "__name__", "")
            target, others = None, ()
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
            elif args and (
                (name.endswith("_") and name[-2:] != "__")
                or (name.startswith("__i") and name not in ("__init__", "__invert__", "__index__"))
            ):
                target, others = args[0], (*args[1:], *kwargs.values())
            if target is not None:
                if len(set(places(target))) < target.numel():
                    found.append(1)
                flat = []
                for o in others:
                    flat.extend(o if isinstance(o, (tuple, list)) else [o])
                for o in flat:
                    if isinstance(o, torch.Tensor) and o is not target:
                        self.check(target, o)
            return out

        def check(self, target, o):
            if o.untyped_storage().data_ptr() != target.untyped_storage().data_ptr():
                return
            a, b = places(target), places(o)
            if a != b and set(a) & set(b):
                found.append(1)

    with Watch():
        run(program, torch)
    return bool(found)


def main() -> None:
    warnings.simplefilter("ignore")
    torch = importlib.import_module(sys.argv[1])
    if hasattr(torch, "set_num_threads"):
        torch.set_num_threads(1)
    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    while True:
        try:
            programs = pickle.load(stdin)
        except EOFError:
            return
        reports = []
        for p in programs:
            report = run(p, torch)
            report["spoilt"] = None
            if any(".data" in s for s in p["steps"]) and spoilt(p, torch):
                report["spoilt"] = "written through .data after it was saved"
            elif reads_what_it_writes(p, torch):
                report["spoilt"] = "the result depends on the order in which elements are written"
            reports.append(report)
        pickle.dump(reports, stdout)
        stdout.flush()


if __name__ == "__main__":
    main()
