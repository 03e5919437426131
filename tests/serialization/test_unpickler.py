"""The pickle reader: plain data comes out, code does not run, memory stays small."""

from __future__ import annotations

import collections
import pickle
import random
import struct
import tracemalloc

import pytest
from serialization import files

ran = []


def canary(*args):
    """What hostile pickles would call."""
    ran.append(args)


class Reduces:
    def __init__(self, *how):
        self.how = how

    def __reduce__(self):
        return self.how


def loads(pickled):
    return files.load(files.archive(pickled))


VALUES = [
    *(None, True, False, 0, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**63, -(2**2100)),
    *(0.0, -1.5, 1e300, float("inf"), "", "a", "grüße 東京 🙂", "\ud800", "x" * 70_000),
    *(b"", b"\x00\xff", b"y" * 70_000, bytearray(b"abc"), 1 + 2j),
    *((), (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), [], [1], list(range(2500))),
    *({}, {"a": 1}, {i: str(i) for i in range(2500)}, set(), {1, 2}, frozenset({3})),
    *([[[[1]]]], {"a": ({"b": [None]},)}, {(1, ("a", 2.5)): 3}),
    *(collections.OrderedDict(a=1, b=[2]), collections.Counter("abca")),
]


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", VALUES, ids=lambda v: repr(v)[:20].encode("ascii", "replace"))
def test_plain_data(value, protocol):
    got = loads(pickle.dumps(value, protocol))
    assert got == value and type(got) is type(value)


def test_shared_objects_stay_shared():
    inner = [1]
    a, b = loads(pickle.dumps((inner, inner), 2))
    assert a is b
    loop = []
    loop.append(loop)
    got = loads(pickle.dumps(loop, 2))
    assert got[0] is got


def test_random_structures(seed):
    r = random.Random(seed)

    def make(depth):
        kind = r.randrange(8 if depth else 4)
        if kind < 4:
            return [r.randrange(-(2**40), 2**40), r.random(), str(r.random()), None][kind]
        items = [make(depth - 1) for _ in range(r.randrange(5))]
        if kind == 4:
            return dict(enumerate(items))
        return [list, tuple, collections.OrderedDict][kind - 5](
            items if kind < 7 else [(str(i), v) for i, v in enumerate(items)]
        )

    for _ in range(100):
        value = make(5)
        for protocol in range(2, 6):
            assert loads(pickle.dumps(value, protocol)) == value


# ---- code ----------------------------------------------------------------------------------------

CALLS = [
    ("posix", "system"), ("os", "system"), ("nt", "system"), ("subprocess", "Popen"),
    ("builtins", "eval"), ("builtins", "exec"), ("builtins", "__import__"), ("builtins", "getattr"),
    ("builtins", "open"), ("builtins", "compile"), ("builtins", "print"), ("builtins", "object"),
    ("__builtin__", "eval"), ("__builtin__", "apply"), ("builtins", "type"), ("builtins", "map"),
    ("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor"), ("operator", "attrgetter"),
    ("operator", "methodcaller"), ("functools", "partial"), ("importlib", "import_module"),
    ("pickle", "loads"), ("_pickle", "loads"), ("marshal", "loads"), ("types", "FunctionType"),
    ("runpy", "_run_code"), ("code", "interact"), ("pty", "spawn"), ("shutil", "rmtree"),
    ("socket", "socket"), ("webbrowser", "open"), ("ctypes", "CDLL"), ("sys", "exit"),
    ("torch", "load"), ("torch.serialization", "add_safe_globals"), ("torch.hub", "load"),
    ("torch", "__builtins__"), ("torch._utils", "__dict__"), ("torch._C", "_nn"),
    ("facula", "load"), ("facula.tensor", "_rebuild"), ("torch.nn.modules.module", "Module"),
    ("numpy", "load"), ("numpy", "fromfile"), ("numpy.core.multiarray", "fromfile"),
    ("numpy.testing._private.utils", "runstring"), ("numpy", "memmap"), ("numpy.f2py", "main"),
    ("collections", "OrderedDict.__init__"), ("collections", "defaultdict"), ("", ""),
    ("torch", "tensor"), ("torch", ""),
    ("collections.OrderedDict", "clear"), ("_codecs", "decode"), ("codecs", "encode"),
    ("torch._utils._rebuild_tensor_v2", "__globals__"), ("torch.storage", "_load_from_bytes"),
    ("serialization.test_unpickler", "canary"), ("io", "FileIO"), ("tempfile", "mkstemp"),
]  # fmt: skip


@pytest.mark.parametrize("module, name", CALLS)
def test_names_that_are_not_data_are_refused_by_name(module, name):
    for pickled in (
        files.whole(f"c{module}\n{name}\n".encode() + files.text("x") + b"\x85R"),
        files.whole(files.text(module) + files.text(name) + b"\x93)R", 4),
        files.whole(f"c{module}\n{name}\n)\x81".encode("latin1")),
        files.whole(f"c{module}\n{name}\n".encode()),
    ):
        with pytest.raises(pickle.UnpicklingError) as caught:
            loads(pickled)
        assert f"'{module}.{name}'" in str(caught.value)
        assert "add_safe_globals" in str(caught.value)


def test_no_code_runs():
    hostile = [
        Reduces(canary, (1,)),
        {"weights": [Reduces(eval, ("1/0",))]},
        Reduces(canary, (), {"state": 1}),
        collections.OrderedDict(a=Reduces(canary, ())),
    ]
    for value in hostile:
        for protocol in range(2, 6):
            with pytest.raises(pickle.UnpicklingError):
                loads(pickle.dumps(value, protocol))
            for weights_only in (True, False, None):
                with pytest.raises(pickle.UnpicklingError):
                    files.load(
                        files.archive(pickle.dumps(value, protocol)), weights_only=weights_only
                    )
    assert ran == []


# ---- damage --------------------------------------------------------------------------------------

OD = b"ccollections\nOrderedDict\n"
LONG = struct.pack("<I", 0xFFFFFFF0)
DAMAGED = {
    "nothing": b"",
    "only a head": b"\x80\x02",
    "no stop": b"\x80\x02N",
    "stop without an object": b"\x80\x02.",
    "objects left over": b"\x80\x02NN.",
    "a mark left over": b"\x80\x02(N.",
    "protocol 0": b"(lp0\n.",
    "protocol 1": b"\x80\x01N.",
    "protocol 6": b"\x80\x06N.",
    "unknown code": files.whole(b"\xff"),
    "extension registry": files.whole(b"\x82\x01"),
    "old instance": files.whole(b"(ios\nsystem\n"),
    "old object": files.whole(b"(cos\nsystem\no"),
    "persistent id as text": files.whole(b"Pabc\n"),
    "out of band buffer": files.whole(b"\x97", 5),
    "tuple of nothing": files.whole(b"\x85"),
    "pair of one": files.whole(b"N\x86"),
    "pop of nothing": files.whole(b"0N"),
    "tuple without a mark": files.whole(b"NNt"),
    "appends without a mark": files.whole(b"]e"),
    "append to a tuple": files.whole(b")Na"),
    "append to a dict": files.whole(b"}Na"),
    "append to text": files.whole(files.text("a") + b"Na"),
    "items in a list": files.whole(b"]NNs"),
    "items in a tensor": files.whole(b"ctorch\nTensor\nNNs"),
    "a key without a value": files.whole(b"}(Nu"),
    "a dict of one": files.whole(b"(Nd"),
    "a list as a key": files.whole(b"}]Ns"),
    "a dict as a key": files.whole(b"}}Ns"),
    "a set as a key": files.whole(b"}\x8fNs", 4),
    "a list within a key": files.whole(b"}]\x85Ns"),
    "a list in a set": files.whole(b"\x8f(]\x90", 4),
    "added to a list": files.whole(b"](N\x90", 4),
    "no such memo": files.whole(b"h\x05"),
    "no such long memo": files.whole(b"j" + LONG),
    "memo of nothing": files.whole(b"q\x00"),
    "text too long": files.whole(b"X" + LONG + b"abc"),
    "text far too long": files.whole(b"\x8d" + b"\xff" * 8, 4),
    "text that is none": files.whole(b"X\x02\x00\x00\x00\xff\xfe"),
    "bytes too long": files.whole(b"B" + LONG, 3),
    "bytes far too long": files.whole(b"\x8e" + b"\xff" * 8, 4),
    "bytearray far too long": files.whole(b"\x96" + b"\xff" * 8, 5),
    "old text of negative length": files.whole(b"T\xff\xff\xff\xff"),
    "number too long": files.whole(b"\x8b\xff\xff\xff\x7f"),
    "number of negative length": files.whole(b"\x8b\xff\xff\xff\xff"),
    "frame too long": files.whole(b"\x95" + b"\xff" * 8 + b"N", 4),
    "float cut off": b"\x80\x02G\x00\x00",
    "name without an end": b"\x80\x02ctorch\nTens",
    "name far too long": files.whole(b"c" + b"a" * 5000 + b"\nb\n"),
    "name that is no text": files.whole(b"c\xff\xfe\nb\n"),
    "name from the stack that is no text": files.whole(b"NN\x93", 4),
    "call of nothing": files.whole(b")R"),
    "call of a number": files.whole(b"K\x01)R"),
    "call of a dict": files.whole(b"})R"),
    "call of a dtype": files.whole(b"ctorch\nfloat32\n)R"),
    "call of a class": files.whole(b"ctorch\nTensor\n)R"),
    "call of an array class": files.whole(b"cnumpy\nndarray\n" + files.numbers([9]) + b"\x85R"),
    "call with a list": files.whole(OD + b"]R"),
    "call with too many": files.whole(b"_codecs\nencode\n".join([b"c", b"(NNNNtR"])),
    "new tensor": files.whole(b"ctorch\nTensor\n)\x81"),
    "new parameter": files.whole(b"ctorch.nn.parameter\nParameter\n)\x81"),
    "new OrderedDict": files.whole(OD + b")\x81"),
    "new number": files.whole(b"K\x01)\x81"),
    "new with names": files.whole(b"ctorch\nTensor\n)}\x92", 4),
    "new with names that are none": files.whole(b"ctorch\nTensor\n)N\x92", 4),
    "state of a list": files.whole(b"]}b"),
    "state of a dict": files.whole(b"}}b"),
    "state of a dtype": files.whole(b"ctorch\nfloat32\n}b"),
    "state of a class": files.whole(b"ctorch\nTensor\n}b"),
    "state of a function": files.whole(OD + b"}b"),
    "state of an OrderedDict that is none": files.whole(OD + b")RK\x01b"),
    "state of an OrderedDict of numbers": files.whole(OD + b")R}K\x01K\x01sb"),
    "OrderedDict of a number": files.whole(OD + b"K\x01\x85R"),
    "OrderedDict of single things": files.whole(OD + b"](N\x85e\x85R"),
    "OrderedDict of list keys": files.whole(OD + b"](]N\x86e\x85R"),
    "Counter of a list": files.whole(b"ccollections\nCounter\n]\x85R"),
    "set of a number": files.whole(b"c__builtin__\nset\nK\x01\x85R"),
    "set of lists": files.whole(b"c__builtin__\nset\n](]e\x85R"),
    "bytearray of a number": files.whole(b"cbuiltins\nbytearray\nJ\x00\x00\x00\x70\x85R"),
    "complex of text": files.whole(b"cbuiltins\ncomplex\n" + files.text("1") + b"\x85R"),
    "encoding to zlib": files.whole(
        b"c_codecs\nencode\n" + files.text("a") + files.text("zlib") + b"\x86R"
    ),
    "encoding of a number": files.whole(b"c_codecs\nencode\nK\x01\x85R"),
    "encoding of text that is no bytes": files.whole(
        b"c_codecs\nencode\n" + files.text("東") + b"\x85R"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGED)
def test_damaged_pickles(what):
    tracemalloc.start()
    try:
        with pytest.raises(pickle.UnpicklingError, match=r"byte|ends early"):
            loads(DAMAGED[what])
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


DEEP = {
    "lists": b"]" * 100_000 + b"a" * 99_999,
    "tuples": b")" + b"\x85" * 100_000,
    "dicts": b"}K\x00" * 5_000 + b"}" + b"s" * 5_000,
    "marks": b"(" * 50_000 + b"l" * 50_000,
}


@pytest.mark.parametrize("what", DEEP)
def test_deep_nesting(what):
    with pytest.raises(pickle.UnpicklingError, match="more than 1000 deep"):
        loads(files.whole(DEEP[what]))


def test_nesting_that_python_writes():
    value = []
    for _ in range(300):
        value = [value, {"a": (value,)}] if len(value) > 1 else [value, 1]
    assert loads(pickle.dumps(value, 2))[1]["a"][0] is not None


@pytest.mark.parametrize(
    "key",
    [
        b")" + b"\x85" * 100_000,
        b")" + b"q\x00h\x00\x86" * 60,
        b"(" + b"N" * 100_000 + b"t",
    ],
    ids=["deep", "doubled", "wide"],
)
def test_keys_that_would_be_hashed_for_ever(key):
    for body in (b"}" + key + b"Ns", b"\x8f(" + key + b"\x90", b"(" + key + b"\x91"):
        with pytest.raises(pickle.UnpicklingError, match="key"):
            loads(files.whole(body, 4))


ONE = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x010"
TUPLE = b"(" + b"K\x01" * 50_000 + b"tq\x010"
GROWING = {
    "encoded": ONE + b"c_codecs\nencode\nq\x020]" + b"h\x02h\x01\x85Ra" * 10_000,
    "bytearrays": b"B" + ONE[1:] + b"cbuiltins\nbytearray\nq\x020]" + b"h\x02h\x01\x85Ra" * 10_000,
    "sizes": TUPLE + b"ctorch\nSize\nq\x020]" + b"h\x02h\x01\x85Ra" * 10_000,
    "sets": TUPLE + b"cbuiltins\nset\nq\x020]" + b"h\x02h\x01\x85Ra" * 10_000,
}


@pytest.mark.parametrize("what", GROWING)
def test_data_that_would_be_copied_again_and_again(what):
    """Ten thousand copies of 100 KB; bytes of the same text are made once."""
    data = files.archive(files.whole(GROWING[what], 3))
    tracemalloc.start()
    try:
        if what == "encoded":
            got = files.load(data)
            assert len({id(v) for v in got}) == 1
        else:
            with pytest.raises(pickle.UnpicklingError, match="more data than it holds"):
                files.load(data)
        assert tracemalloc.get_traced_memory()[1] < 64 * len(data) + 10_000_000
    finally:
        tracemalloc.stop()


def test_a_far_memo_index_is_cheap():
    """The index after which Python's own reader would allocate gigabytes."""
    tracemalloc.start()
    try:
        assert loads(files.whole(b"Nr\xff\xff\xff\x7f")) is None
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
