"""A pickle reader that runs no code.

It is written in Python, over the pickle in memory, because Python's own reader can be made to
allocate without bounds and to recurse without end. Every operation code makes at most a small
object, and what copies data (see `Budget`) may copy a multiple of the pickle's own size. Names are
resolved by the caller's table alone. An object that a name stands for is called only if it is a
`Function` of that table or registered by the user.

Source: the table of operation codes in Python's `pickletools`
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from collections.abc import Callable
from pickle import UnpicklingError
from typing import Any

import numpy as np

from facula import Tensor, devices, dtypes

MAX_DEPTH = 1000  # of containers within containers; Python's own writer stops before that
_MAX_KEY = 1000  # elements of a tuple that is a key, those within included

# What goes wrong inside the reader for damaged data, and is told as an UnpicklingError.
_FAULTS = (
    *(IndexError, KeyError, ValueError, TypeError, AttributeError, OverflowError),
    *(struct.error, RecursionError),
)


class Budget:
    """How many bytes may still be made by copying."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.left = 64 * size + (1 << 16)

    def charge(self, n: int) -> None:
        """Spend n bytes; UnpicklingError if there are not so many left."""
        self.left -= n
        if self.left < 0:
            raise UnpicklingError(
                f"a pickle of {self.size} bytes would make far more data than it holds"
            )


class Function:
    """A function that a pickle may call, by the name that it has there."""

    __slots__ = ("name", "run")

    def __init__(self, name: str, run: Callable[..., Any]) -> None:
        self.name = name
        self.run = run

    def __repr__(self) -> str:
        return f"<{self.name} in a checkpoint>"


def check_key(key: Any) -> None:
    """UnpicklingError unless hashing and comparing the key is harmless."""
    left = _MAX_KEY
    todo = [(key, 0)]
    while todo:
        value, depth = todo.pop()
        left -= 1
        if isinstance(value, tuple):
            if len(value) > left or depth > 20:
                raise UnpicklingError("a pickle has a tuple as a key that is too large")
            todo.extend([(v, depth + 1) for v in value])
        elif not isinstance(
            value,
            (str, bytes, int, float, complex, bool, type(None), Tensor, dtypes.dtype)
            + (devices.device, np.generic),
        ):
            hashing = type(value).__hash__
            if hashing is None or isinstance(value, frozenset):
                raise UnpicklingError(
                    f"a pickle has a key of type {type(value).__name__}, which can't be one"
                )


class Unpickler:
    """Reads one pickle out of `data`, from `position` on.

    `find(module, name)` gives what a name stands for and raises for a name that is not allowed,
    `persistent(id)` what a persistent id stands for, `build(object, state)` sets the state of an
    object that the caller has made, `registered(value)` says whether the user has allowed that a
    class or function is called, `made(cls)` whether objects of a class may be made without a call.
    """

    def __init__(
        self,
        data: Any,
        find: Callable[[str, str], Any],
        persistent: Callable[[Any], Any],
        build: Callable[[Any, Any], None],
        registered: Callable[[Any], bool],
        encoding: str = "utf-8",
        position: int = 0,
        made: Callable[[Any], bool] | None = None,
    ) -> None:
        self.made = made or registered
        self.data = memoryview(data)
        self.at = position
        self.find = find
        self.persistent = persistent
        self.build = build
        self.registered = registered
        self.encoding = encoding
        self.stack: list[Any] = []
        self.marks: list[list[Any]] = []
        self.memo: dict[int, Any] = {}

    def load(self) -> Any:
        """The object. UnpicklingError for anything that is damaged or not allowed."""
        end = len(self.data)
        while True:
            start = self.at
            if start >= end:
                raise UnpicklingError(f"the pickle ends early, after {end} bytes")
            code = self.data[start]
            self.at = start + 1
            try:
                if code == 0x2E:  # STOP
                    value = self.stack.pop()
                    if self.stack or self.marks:
                        raise UnpicklingError("the pickle ends with objects left over")
                    return value
                operation = _CODES.get(code)
                if operation is None:
                    raise UnpicklingError(
                        f"operation code {bytes([code])!r} does not occur in checkpoints"
                    )
                operation(self)
            except UnpicklingError as error:
                raise UnpicklingError(f"{error} (at byte {start} of the pickle)") from error
            except _FAULTS as error:
                if code == 0x51:  # BINPERSID: of the caller's function, which checks what it gets
                    raise
                raise UnpicklingError(
                    f"the pickle is damaged at byte {start}: {type(error).__name__}: {error}"
                ) from error

    def take(self, n: int) -> memoryview:
        """The next n bytes."""
        start = self.at
        if n < 0 or n > len(self.data) - start:
            raise UnpicklingError(f"the pickle ends early: {n} bytes were announced")
        self.at = start + n
        return self.data[start : start + n]

    def number(self, fmt: str) -> int:
        """The next number, in a format of `struct`."""
        return struct.unpack(fmt, self.take(struct.calcsize(fmt)))[0]

    def line(self) -> str:
        """The text up to the next end of line."""
        end = self.at
        while self.data[end] != 0x0A:
            end += 1
            if end - self.at > 1000:
                raise UnpicklingError("a name is longer than 1000 bytes")
        text = bytes(self.take(end - self.at)).decode()
        self.at += 1
        return text

    def since_mark(self) -> list[Any]:
        """The objects above the last mark, which is removed."""
        items = self.stack
        self.stack = self.marks.pop()
        return items

    def put(self, key: int) -> None:
        """Remember the top of the stack."""
        self.memo[key] = self.stack[-1]

    def set_items(self, target: Any, pairs: list[Any]) -> None:
        """Keys and values in turn, into a dict."""
        if not isinstance(target, dict):
            raise UnpicklingError(f"items are set in a {type(target).__name__}, which is no dict")
        if len(pairs) % 2:
            raise UnpicklingError("a key has no value")
        for i in range(0, len(pairs), 2):
            check_key(pairs[i])
            target[pairs[i]] = pairs[i + 1]

    def add(self, items: list[Any]) -> None:
        """Append to the list on the stack."""
        target = self.stack[-1]
        if type(target) is not list:
            raise UnpicklingError(f"items are appended to a {type(target).__name__}")
        target.extend(items)

    def global_(self, module: Any, name: Any) -> None:
        """Push what a name stands for."""
        if type(module) is not str or type(name) is not str:
            raise UnpicklingError("a name is no text")
        self.stack.append(self.find(module, name))

    def reduce(self) -> None:
        """Call what is allowed to be called."""
        args = self.stack.pop()
        function = self.stack.pop()
        if type(args) is not tuple:
            raise UnpicklingError("the arguments of a call are no tuple")
        if type(function) is Function:
            self.stack.append(function.run(*args))
        elif self.registered(function):
            self.stack.append(function(*args))
        else:
            raise UnpicklingError(f"the pickle calls {shown(function)}, which is not allowed")

    def new(self, kwargs: dict[str, Any] | None = None) -> None:
        """Make an object without calling its constructor; only registered classes get arguments."""
        args = self.stack.pop()
        cls = self.stack.pop()
        allowed = self.registered if args or kwargs else self.made
        if not isinstance(cls, type) or not allowed(cls):
            raise UnpicklingError(
                f"the pickle makes an object of {shown(cls)}, which is not allowed"
            )
        if type(args) is not tuple:
            raise UnpicklingError("the arguments of a new object are no tuple")
        self.stack.append(cls.__new__(cls, *args, **(kwargs or {})))

    def text(self, n: int) -> None:
        """Push text of n bytes."""
        self.stack.append(str(self.take(n), "utf-8", "surrogatepass"))

    def old_text(self, n: int) -> None:
        """Push a `str` of Python 2."""
        raw = bytes(self.take(n))
        self.stack.append(raw if self.encoding == "bytes" else raw.decode(self.encoding))


def shown(value: Any) -> str:
    """A value for a message. `repr` would write out lists that hold themselves many times over."""
    if isinstance(value, (Function, type, bool, float, type(None), np.dtype)):
        return repr(value)[:80]
    if type(value) is int and abs(value) < 1 << 128:
        return repr(value)
    if type(value) is str:
        return repr(value[:60])
    return f"a value of type {type(value).__name__}"


_CODES: dict[int, Callable[[Unpickler], None]] = {}


def _code(code: bytes) -> Callable[[Callable[[Unpickler], None]], Callable[[Unpickler], None]]:
    def add(f: Callable[[Unpickler], None]) -> Callable[[Unpickler], None]:
        _CODES[code[0]] = f
        return f

    return add


@_code(b"\x80")
def _proto(u: Unpickler) -> None:
    version = u.number("<B")
    if not 2 <= version <= 5:
        raise UnpicklingError(f"pickle protocol {version} is not among those read here, 2 to 5")


@_code(b"\x95")
def _frame(u: Unpickler) -> None:
    if u.number("<Q") > len(u.data) - u.at:
        raise UnpicklingError("the pickle ends early: a frame goes beyond its end")


@_code(b"(")
def _mark(u: Unpickler) -> None:
    u.marks.append(u.stack)
    u.stack = []


@_code(b"0")
def _pop(u: Unpickler) -> None:
    if u.stack:
        u.stack.pop()
    else:
        u.since_mark()


@_code(b"\x85")
def _tuple1(u: Unpickler) -> None:
    u.stack[-1] = (u.stack[-1],)


@_code(b"\x86")
def _tuple2(u: Unpickler) -> None:
    b = u.stack.pop()
    u.stack[-1] = (u.stack[-1], b)


@_code(b"\x87")
def _tuple3(u: Unpickler) -> None:
    c, b = u.stack.pop(), u.stack.pop()
    u.stack[-1] = (u.stack[-1], b, c)


def _pushed(make: Callable[[Unpickler], Any]) -> Callable[[Unpickler], None]:
    return lambda u: u.stack.append(make(u))


def _collected(make: Callable[[Unpickler, list[Any]], Any]) -> Callable[[Unpickler], None]:
    def run(u: Unpickler) -> None:
        items = u.since_mark()
        u.stack.append(make(u, items))

    return run


def _long(u: Unpickler, n: int) -> int:
    return int.from_bytes(u.take(n), "little", signed=True)


def _dict(u: Unpickler, items: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    u.set_items(made, items)
    return made


def make_set(kind: type, items: Any) -> Any:
    """A set of items that are harmless as keys."""
    for item in items:
        check_key(item)
    return kind(items)


def _add_items(u: Unpickler) -> None:
    items = u.since_mark()
    if type(u.stack[-1]) is not set:
        raise UnpicklingError(f"items are added to a {type(u.stack[-1]).__name__}")
    u.stack[-1].update(make_set(set, items))


def _set_item(u: Unpickler) -> None:
    value, key = u.stack.pop(), u.stack.pop()
    u.set_items(u.stack[-1], [key, value])


def _set_items(u: Unpickler) -> None:
    items = u.since_mark()
    u.set_items(u.stack[-1], items)


def _append(u: Unpickler) -> None:
    item = u.stack.pop()
    u.add([item])


def _appends(u: Unpickler) -> None:
    items = u.since_mark()
    u.add(items)


def _stack_global(u: Unpickler) -> None:
    name, module = u.stack.pop(), u.stack.pop()
    u.global_(module, name)


def _global(u: Unpickler) -> None:
    module = u.line()
    u.global_(module, u.line())


def _build(u: Unpickler) -> None:
    state = u.stack.pop()
    u.build(u.stack[-1], state)


def _newobj_ex(u: Unpickler) -> None:
    kwargs = u.stack.pop()
    if type(kwargs) is not dict or not all([type(k) is str for k in kwargs]):
        raise UnpicklingError("the named arguments of a new object are no dict of names")
    u.new(kwargs)


def _persistent(u: Unpickler) -> None:
    if not u.stack:
        raise UnpicklingError("a persistent id is not there")
    u.stack.append(u.persistent(u.stack.pop()))


def _pop_mark(u: Unpickler) -> None:
    u.since_mark()


def _float(u: Unpickler) -> float:
    return struct.unpack(">d", u.take(8))[0]


_CODES.update(
    {
        code[0]: operation
        for code, operation in {
            b"N": _pushed(lambda u: None),
            b"\x88": _pushed(lambda u: True),
            b"\x89": _pushed(lambda u: False),
            b"J": _pushed(lambda u: u.number("<i")),
            b"K": _pushed(lambda u: u.number("<B")),
            b"M": _pushed(lambda u: u.number("<H")),
            b"\x8a": _pushed(lambda u: _long(u, u.number("<B"))),
            b"\x8b": _pushed(lambda u: _long(u, u.number("<i"))),
            b"G": _pushed(_float),
            b"X": lambda u: u.text(u.number("<I")),
            b"\x8c": lambda u: u.text(u.number("<B")),
            b"\x8d": lambda u: u.text(u.number("<Q")),
            b"B": _pushed(lambda u: bytes(u.take(u.number("<I")))),
            b"C": _pushed(lambda u: bytes(u.take(u.number("<B")))),
            b"\x8e": _pushed(lambda u: bytes(u.take(u.number("<Q")))),
            b"\x96": _pushed(lambda u: bytearray(u.take(u.number("<Q")))),
            b"T": lambda u: u.old_text(u.number("<i")),
            b"U": lambda u: u.old_text(u.number("<B")),
            b")": _pushed(lambda u: ()),
            b"]": _pushed(lambda u: []),
            b"}": _pushed(lambda u: {}),
            b"\x8f": _pushed(lambda u: set()),
            b"t": _collected(lambda u, items: tuple(items)),
            b"l": _collected(lambda u, items: items),
            b"d": _collected(_dict),
            b"\x91": _collected(lambda u, items: make_set(frozenset, items)),
            b"1": _pop_mark,
            b"a": _append,
            b"e": _appends,
            b"s": _set_item,
            b"u": _set_items,
            b"\x90": _add_items,
            b"q": lambda u: u.put(u.number("<B")),
            b"r": lambda u: u.put(u.number("<I")),
            b"\x94": lambda u: u.put(len(u.memo)),
            b"h": _pushed(lambda u: u.memo[u.number("<B")]),
            b"j": _pushed(lambda u: u.memo[u.number("<I")]),
            b"c": _global,
            b"\x93": _stack_global,
            b"R": lambda u: u.reduce(),
            b"\x81": lambda u: u.new(),
            b"\x92": _newobj_ex,
            b"b": _build,
            b"Q": _persistent,
        }.items()
    }
)


def check_depth(value: Any, refuse: Callable[[Any], None]) -> None:
    """UnpicklingError if containers are nested too deeply; `refuse` sees everything in them."""
    seen: set[int] = set()
    level = [value]
    depth = 0
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise UnpicklingError(f"the pickle nests containers more than {MAX_DEPTH} deep")
        inner: list[Any] = []
        for v in level:
            refuse(v)
            if isinstance(v, dict):
                children = [*v.keys(), *v.values()]
                if isinstance(v, OrderedDict) and v.__dict__:
                    children.extend(v.__dict__.values())
            elif isinstance(v, (list, tuple, set, frozenset)):
                children = list(v)
            else:
                continue
            if id(v) not in seen:
                seen.add(id(v))
                inner.extend(children)
        level = inner
