"""The table from which methods, functions, in-place and `out=` forms are derived.

`@api` declares an operation once. From `def add(input, other, ...)` follow `facula.add`,
`Tensor.add`, `Tensor.add_` and `out=`.
"""

from __future__ import annotations

import contextlib
import functools
import warnings
from collections.abc import Callable, Iterable, Iterator
from inspect import CO_VARARGS
from typing import Any

from facula.dtypes import OF_PYTHON
from facula.ops.outs import IN_DTYPE_OF_OUT, NO_OUT, NO_OVERLAP
from facula.ops.settings import Settings
from facula.ops.storing import in_dtype_of, no_overlap, same_shape, store, unlinked
from facula.trace.node import Diverted
from facula.trace.recorder import TLS, follow1, follow2, restore_grad, set_grad

FUNCTIONS: dict[str, Any] = {}
METHODS: dict[str, Any] = {}
OVERRIDES: list[Any] = []  # tensor subclasses that user code has defined, and MODES
CLASSES: set[type] = set()  # these subclasses
MODES: list[Any] = []  # functions that are offered every call first, as mode(f, args, kwargs)
MIXED: Any = None  # what autocast does with a call (amp/policy.py); in OVERRIDES while it is on
AS_THEY_ARE: frozenset[str] = frozenset()  # the functions that it leaves as they are
SPAN = "a span"  # among them: stretches of the trace, which are known by it (trace/spans.py)
PLAIN: set[type] = set()  # classes of tensors that override nothing
# In-place operations that write element by element where an index says: no operand may be self.
SCATTERING = {
    "index_add_", "index_copy_", "index_put_", "index_reduce_", "put_", "scatter_",
    "scatter_add_", "scatter_reduce_", "index_fill_",
}  # fmt: skip
# Those that may return a view of a copy that they make.
VIEWS_OF_COPIES = {"ravel", "repeat_interleave"}
# Those whose operands may lie in the memory written (they are read first, as values), but for one.
SEPARATE = {"masked_fill_": "mask", "masked_scatter_": "", "index_fill_": "index"}
# In-place operations that autograd does not know, whatever their tensor is: PyTorch's omission.
UNTRACKED = {"logical_and_", "logical_not_", "logical_or_", "logical_xor_"}
_tensor: Any = None  # facula.tensor, set by it
_in_place: Any = None  # facula.in_place, set by it
# Those that look at their arguments before autograd does: made of other operations, or without a
# derivative. Elsewhere a view that may have no history is refused first.
LOOKS_FIRST = {
    *("all", "any", "argmax", "argmin", "chunk", "copy", "count_nonzero", "diff", "flatten"),
    "gradient",
    *("moveaxis", "movedim", "nanmean", "narrow", "quantile", "repeat_interleave"),
    *("take_along_dim", "tensor_split", "trapezoid", "unflatten", "unsafe_chunk"),
}


def api(
    f: Callable[..., Any] | None = None,
    *,
    names: tuple[str, ...] = (),
    method: bool = True,
    function: bool = True,
    inplace: bool = False,
    follows: tuple[Any, Any, int] | None = None,
    steady: bool = False,
) -> Any:
    """Enter a function in the table, under its own name and `names`.

    `follows` names the primitives that a call on (tensor, tensor) or one tensor and on (tensor,
    number) records, and the rank of the result (0: any), for calls that repeat: where the
    recorder expects just that entry, nothing need be checked again. `steady`: see `steady.py`.
    """
    if f is None:
        settings = {"names": names, "method": method, "function": function, "inplace": inplace}
        return lambda g: api(g, **settings, follows=follows, steady=steady)  # type: ignore[arg-type]
    name = f.__name__.rstrip("_") if f.__name__.endswith("_") else f.__name__
    call = _outward(f, name)
    if follows is not None:
        call = _quick(call, *follows)
    if steady:
        from facula.ops.steady import steady as followed

        call = followed(call)
    alone = call
    if method and f.__code__.co_argcount and f.__code__.co_flags & CO_VARARGS:
        from facula.ops.one_tuple import of_one_tuple

        alone = of_one_tuple(f, _outward(f, name))
    for c in (call, alone):  # where pickle finds it
        c.__module__ = "facula" if function else f.__module__
    for n in (name, *names):
        if function:
            FUNCTIONS[n] = alone
        if method:
            METHODS[n] = call
        if inplace:
            METHODS[n + "_"] = in_place(f, n + "_")
    return call


def public(f: Callable[..., Any]) -> Any:
    """A function of a submodule (`facula.fft.fft`): with `out=`, but not in the table."""
    call = _outward(f, f.__name__)
    call.__module__ = f.__module__
    return call


def explained(f: Callable[..., Any], cast: bool = False) -> Callable[..., Any]:
    """A function of `nn.functional` whose settings are looked at and whose errors are told; with
    `cast`, autocast sees its calls first."""
    check = Settings(f, f.__name__).check

    @functools.wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if OVERRIDES and (cast or MODES):
            done = as_a_whole(call, args, kwargs, cast)
            if done is not NotImplemented:
                return done
        args, kwargs = check(args, kwargs)
        try:
            return f(*args, **kwargs)
        except Exception as error:
            _explain(error, f, f.__name__, args, kwargs)
            raise

    return call


def as_a_whole(call: Any, args: Any, kwargs: Any, cast: bool = True) -> Any:
    """Offer a call of a function of `nn.functional` to the modes that programs have entered, which
    see it instead of what it is made of; with `cast`, then to autocast."""
    for mode in reversed(MODES):
        if getattr(mode, "sees_wholes", False):
            done = mode(call, args, kwargs)
            if done is not NotImplemented:
                return done
    return MIXED(call, args, kwargs) if cast and TLS.r.autocast is not None else NotImplemented


def mixed(f: Callable[..., Any]) -> Callable[..., Any]:
    """A function of `nn.functional` whose calls autocast is to see."""
    return explained(f, cast=True)


def _explain(error: Exception, f: Any, name: str, args: Any, kwargs: Any) -> None:
    """Raise what is wrong with a call's arguments, else tell the error which call it was of."""
    if error.__class__ is not Diverted:
        from facula.ops.arguments import tell, wrong_call

        wrong = wrong_call(f, name, args, kwargs, error)
        if wrong is not None:
            raise wrong from None
        tell(error, name, args, kwargs)


def _reordered(name: str, args: Any, kwargs: Any) -> Any:
    """The arguments of a call that failed, where PyTorch takes their order from old programs."""
    from facula.ops.old_orders import reordered

    return reordered(name, args, kwargs)


# Names of arguments in NumPy's spelling, which PyTorch's functions take as well.
_NUMPY = {
    "axis": "dim",
    "keepdims": "keepdim",
    "axis0": "dim0",
    "axis1": "dim1",
    "x": "input",
    "x1": "input",
    "x2": "other",
}


def _aliases(f: Callable[..., Any]) -> dict[str, str]:
    """NumPy's names of this function's arguments."""
    code = f.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    return {a: n for a, n in _NUMPY.items() if n in names and a not in names}


def _outward(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    aliases = _aliases(f)
    settings = Settings(f, name)
    first, known, look = settings.first, settings.known, settings.look
    apart = frozenset((*aliases, *settings.named, "dtype"))

    def call(*args: Any, out: Any = None, **kwargs: Any) -> Any:
        if kwargs and not apart.isdisjoint(kwargs):
            if not aliases.keys().isdisjoint(kwargs):
                kwargs = {aliases.get(k, k): v for k, v in kwargs.items()}
            if type(kwargs.get("dtype")) is type:  # Python's float, int, ...
                kwargs["dtype"] = OF_PYTHON.get(kwargs["dtype"], kwargs["dtype"])
            if (*map(type, args), *kwargs, *map(type, kwargs.values())) not in known:
                args, kwargs = look(args, kwargs)
        elif len(args) > first and (*map(type, args),) not in known:
            args, kwargs = look(args, kwargs)
        if OVERRIDES:
            done = dispatch(call, args, kwargs if out is None else {**kwargs, "out": out})
            if done is not NotImplemented:
                return done
        if out is None:
            try:
                got = f(*args, **kwargs)
            except Exception as error:
                if error.__class__ is Diverted and error.kind.each is not None:
                    return error.kind.each(call, args, kwargs, error)
                if isinstance(error, (TypeError, AttributeError)) and overriding(args, kwargs):
                    return _offer(call, args, kwargs)  # something that is like a tensor
                if error.__class__ is TypeError and (again := _reordered(name, args, kwargs)):
                    return call(*again[0], **again[1])
                _explain(error, f, name, args, kwargs)
                if isinstance(error, (IndexError, RuntimeError)) and name not in LOOKS_FIRST:
                    _in_place.forbidden(args, True)
                raise
            if type(got) in PLAIN:
                if got._base_t is not None and name not in VIEWS_OF_COPIES:
                    if args and type(args[0]) in PLAIN and args[0]._storage is got._storage:
                        return got
                    return _seen(got, args)
            elif isinstance(got, tuple) and any(
                [getattr(t, "_base_t", None) is not None for t in got]
            ):
                return type(got)([_seen(t, args) for t in got])
            return got
        if name in NO_OUT:
            raise TypeError(f"{name}() got an unexpected keyword argument 'out'")
        if name in NO_OVERLAP:
            no_overlap(name, out, args)
        elif isinstance(out, _tensor.Tensor):
            _in_place.check_overlap(out, args, name)
            if name == "where" and not all([isinstance(a, _tensor.Tensor) for a in args[1:]]):
                raise TypeError("where(): with 'out', 'input' and 'other' must be Tensors")
            if name in IN_DTYPE_OF_OUT:
                in_dtype_of(name, out, kwargs)
        try:
            result = unlinked(name, f, args, kwargs) if TLS.r.grad else f(*args, **kwargs)
        except Exception as error:
            _explain(error, f, name, args, kwargs)
            raise
        if isinstance(out, _tensor.Tensor) and any([a is out for a in args]):
            same_shape(name, out, result)
        return store(name, out, result)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f.__doc__
    call.__wrapped__ = f  # type: ignore[attr-defined]
    call.asks = True  # type: ignore[attr-defined]
    return call


def _seen(t: Any, args: tuple[Any, ...]) -> Any:
    """A result; no view where it is one of a value that only the operation has seen."""
    if getattr(t, "_base_t", None) is None:
        return t
    for a in args:
        for x in a if isinstance(a, (tuple, list)) else (a,):
            if getattr(x, "_storage", None) is t._storage:
                return t
    from facula.ops.movement import SELF
    from facula.trace.recorder import record

    return record(SELF, (t,))


_ABSENT = object()


def usual_exponent(x: Any) -> bool:
    """Whether an exponent fits all dtypes that have an expected power; others are looked at."""
    return type(x) is complex or (0 if type(x) is int else -65504) <= x <= 65504


def _quick(call: Callable[..., Any], prim: Any, scalar: Any, rank: int) -> Callable[..., Any]:
    name = call.__name__
    power = name == "pow"  # that of an integer may not be negative, nor too large for float16

    def quick(a: Any = _ABSENT, b: Any = _ABSENT, *rest: Any, **kwargs: Any) -> Any:
        plain = not rest and not kwargs and type(a) in PLAIN
        if plain and (not OVERRIDES or not concerned((b,), name)):
            r = TLS.r
            e = r.next
            if e.op is prim:
                if type(b) in PLAIN:
                    if not rank or len(e.shape) == rank:
                        t = follow2(r, e, a, b)
                        if t is not None:
                            return t
                elif b is _ABSENT and e.b is None:
                    t = follow1(r, e, a)
                    if t is not None:
                        return t
            elif e.op is scalar and e.b is type(b) and (not power or usual_exponent(b)):
                t = follow1(r, e, a, b)
                if t is not None:
                    return t
        if b is _ABSENT:
            return call(**kwargs) if a is _ABSENT else call(a, **kwargs)
        return call(a, b, *rest, **kwargs)

    quick.__name__ = quick.__qualname__ = call.__name__
    quick.__doc__ = call.__doc__
    quick.__wrapped__ = call.__wrapped__  # type: ignore[attr-defined]
    call.known_as = quick  # type: ignore[attr-defined]
    return quick


def in_place(f: Callable[..., Any], name: str) -> Callable[..., Any]:
    """The in-place form of a function."""
    check = Settings(f, name).check
    names = f.__code__.co_varnames[1 : f.__code__.co_argcount]

    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if OVERRIDES:
            done = dispatch(call, (self, *args), kwargs)
            if done is not NotImplemented:
                return done
        (self, *args), kwargs = check((self, *args), kwargs)
        if name in UNTRACKED:
            before = TLS.r.grad
            set_grad(False)
            try:
                value = f(self, *args, **kwargs)
                _in_place.check_distinct(self, name)
                _in_place.check_overlap(self, args, name)
                return _in_place.replace(self, value, name)
            finally:
                restore_grad(before)
        try:
            _in_place.check_in_place(self, name, False)
        except RuntimeError:
            _arguments(f, self, args, kwargs)
            raise
        except AttributeError as error:  # self is no tensor
            _explain(error, f, name, (self, *args), kwargs)
            raise
        own = own_value(self, args)
        if name[:-1] in IN_DTYPE_OF_OUT:
            in_dtype_of(name, self, kwargs)
        try:
            value = f(own, *args, **kwargs)
        except Exception as error:
            if error.__class__ is not Diverted or error.kind.each is None:
                if error.__class__ is TypeError:
                    again = _reordered(name, (self, *args), kwargs)
                    if again:
                        return call(*again[0], **again[1])
                _explain(error, f, name, (own, *args), kwargs)
                raise
            value = error.kind.each(f, (own, *args), kwargs, error)
        if _in_place.expanded(self):
            return _in_place.write_expanded(self, value, name)
        others = (*args, *kwargs.values())
        if name in SEPARATE:
            at = names.index(SEPARATE[name]) if SEPARATE[name] in names else len(args)
            others = args[at : at + 1] or (kwargs.get(SEPARATE[name]),)
        _in_place.check_overlap(self, others, name, name not in SCATTERING)
        return _in_place.replace(self, value, name)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "facula"
    call.__doc__ = f"In-place form of `{name[:-1]}`."
    call.asks = True  # type: ignore[attr-defined]
    return call


def asking(name: str, method: Any) -> Any:
    """A method that writes to its tensor and is written out by hand: modes and subclasses are
    asked first, as by the methods that are made here."""
    if name[-1] != "_" or name[:2] == "__" or name == "set_" or hasattr(method, "asks"):
        return method  # nobody is offered `set_` in PyTorch

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if OVERRIDES:
            done = dispatch(call, (self, *args), kwargs)
            if done is not NotImplemented:
                return done
        return method(self, *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "facula"  # where pickle finds it, if it is a function too
    call.asks = True  # type: ignore[attr-defined]
    return call


def _arguments(f: Any, t: Any, args: Any, kwargs: Any) -> None:
    """TypeError for arguments of wrong types: it comes before what is wrong with the tensor.

    No operand is asked for its history, which an operation that fails does not do either.
    """
    before = TLS.r.grad
    set_grad(False)
    try:
        f(t.detach(), *args, **kwargs)
    except TypeError:
        if not _reordered(f.__name__, (t, *args), kwargs):
            raise
    except Exception:
        return
    finally:
        restore_grad(before)


def own_value(t: Any, args: tuple[Any, ...]) -> Any:
    """What an in-place operation on t reads: t's present value, free of t's later writes."""
    if not TLS.r.grad:
        return t
    for a in (t, *args):
        if isinstance(a, _tensor.Tensor) and a.requires_grad:
            from facula.ops.movement import SELF
            from facula.trace.recorder import record
            from facula.views import fresh

            return record(SELF, (fresh(t),))
    return t


def enter_mode(mode: Any) -> None:
    """Offer calls to a function, until `leave_mode`; wholly or, where an interrupt comes, not."""
    global MODES, OVERRIDES
    MODES += (mode,)
    OVERRIDES += (mode,)


def leave_mode(mode: Any) -> None:
    """Take back one `enter_mode`."""
    try:
        MODES.remove(mode)
    finally:
        OVERRIDES.remove(mode)


@contextlib.contextmanager
def below(mode: Any) -> Iterator[None]:
    """Inside the block only the modes are on that were entered before `mode`."""
    above = MODES[MODES.index(mode) :]
    for m in above:
        leave_mode(m)
    try:
        yield
    finally:
        for m in above:
            enter_mode(m)


@contextlib.contextmanager
def without_subclasses(keep_modes: bool) -> Iterator[None]:
    """Call operations themselves inside a block, whatever subclasses of Tensor say."""
    saved = list(OVERRIDES)
    OVERRIDES[:] = [o for o in saved if o is MIXED or (keep_modes and o in MODES)]
    try:
        yield
    finally:
        OVERRIDES[:] = saved


def concerned(args: Any, name: str = "") -> bool:
    """Whether a mode is on, or one of these arguments, or of those in lists, is of a subclass.

    Asked where there are OVERRIDES: that a program has a subclass says nothing of most calls, and
    autocast, which is on for one thread, nothing of functions that it leaves as they are.
    """
    for o in OVERRIDES:
        if o not in CLASSES and not (
            o is MIXED and (TLS.r.autocast is None or name in AS_THEY_ARE)
        ):
            return True
    for a in args:
        cls = a.__class__
        if cls is tuple or cls is list:
            for t in a:
                if t.__class__ in CLASSES and t.__class__ in OVERRIDES:
                    return True
        elif cls in CLASSES and cls in OVERRIDES:
            return True
    return False


def overloaded(values: Iterable[Any]) -> list[Any]:
    """The first of each type that has a `__torch_function__`, in the order in which they are asked:
    as they come, but one of a subclass before those of its bases."""
    found: list[Any] = []
    for v in values:
        for t in v if isinstance(v, (tuple, list)) else (v,):
            cls = type(t)
            if cls in PLAIN or not has_handler(cls) or cls in map(type, found):
                continue
            at = [i for i, o in enumerate(found) if issubclass(cls, type(o))]
            found.insert(at[0] if at else len(found), t)
    return found


def overriding(args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
    """The types of the arguments, and of those in lists, that have a `__torch_function__`."""
    return [type(t) for t in overloaded((*args, *kwargs.values()))]


def ask(
    f: Any, found: list[Any], args: tuple[Any, ...], kwargs: dict[str, Any], refusal: str
) -> Any:
    """What the first of the handlers of the `overloaded` gives that knows `f`; TypeError if none.

    A handler is looked up in the object: it may be a method of it, though PyTorch warns of that.
    """
    types = tuple([type(t) for t in found])
    for t in found:
        handler = t.__torch_function__
        if getattr(handler, "__self__", None) is t:
            _warn_of_a_method()
        done = handler(f, types, args, kwargs)
        if done is not NotImplemented:
            return done
    raise TypeError(f"{refusal}: {list(types)}")


@functools.cache
def _warn_of_a_method() -> None:  # once, as PyTorch does
    warnings.warn(
        "Defining your `__torch_function__` as a plain method is deprecated and will be an error "
        "in future, please define it as a classmethod.",
        stacklevel=5,
    )


FAILED = (
    "Multiple dispatch failed for '{}'; all __torch_function__ handlers returned NotImplemented"
)


def has_handler(cls: type) -> bool:
    """Whether it has a `__torch_function__` that is to be asked."""
    function = getattr(cls, "__torch_function__", None)
    if function is None or function is untouched:
        return False
    if cls in CLASSES:
        return cls in OVERRIDES
    return getattr(function, "__func__", None) is not _tensor.DEFAULT


def untouched(func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
    """The `__torch_function__` of subclasses that override nothing."""
    with without_subclasses(keep_modes=True):
        return func(*args, **(kwargs or {}))


def dispatch(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Offer the call to the modes, then to `__torch_function__` of the arguments' subclasses."""
    name = f.__name__
    if not concerned(args, name) and not (kwargs and concerned(kwargs.values(), name)):
        return NotImplemented
    return _offer(f, args, kwargs)


def _offer(f: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    f = getattr(f, "known_as", f)  # the function that users have, which they compare it with
    if f.__name__ == "einsum" and len(args) == 2 and isinstance(args[1], (tuple, list)):
        args = (args[0], *args[1])  # operands that were given as a list are handed over one by one
    for mode in reversed(MODES):
        done = mode(f, args, kwargs)
        if done is not NotImplemented:
            return done
    found = overloaded((*args, *kwargs.values()))
    if found:
        return ask(f, found, args, kwargs, FAILED.format("torch." + f.__name__))
    if TLS.r.autocast is not None:
        return MIXED(f, args, kwargs)
    return NotImplemented
