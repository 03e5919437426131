"""Tensors and arrays from what a pickle says of them: nothing outside their memory."""

from __future__ import annotations

import pickle
import struct
import tracemalloc

import pytest
from serialization import files

import facula
from facula import nn

HUGE = 2**62
T, S = files.tensor, files.storage
U, R = pickle.UnpicklingError, RuntimeError
PARAMETER = b"ctorch._utils\n_rebuild_parameter\n"
TYPED = b"ctorch._tensor\n_rebuild_from_type_v2\n"
TENSOR = b"ctorch\nTensor\n"


def args(*parts):
    return b"(" + b"".join(parts) + b"tR"


# A list of ten times the same list, and so on: small in memory, endless when it is written out.
REPEATED = (
    b"]q\xc80"
    + b"".join(
        b"](" + (b"h" + bytes([199 + n])) * 10 + b"eq" + bytes([200 + n]) + b"0"
        for n in range(1, 30)
    )
    + b"h\xe5"
)

ARRAY = b"cnumpy._core.multiarray\n_reconstruct\n" + args(
    b"cnumpy\nndarray\n", b"K\x00\x85", b"B\x01\0\0\0b"
)
STATE = b"(K\x03" + files.text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"


def dtype(name="f4"):
    return b"cnumpy\ndtype\n" + args(files.text(name), b"\x89\x88")


def array(shape=(2,), kind=None, raw=bytes(8)):
    kind = dtype() if kind is None else kind
    data = raw if isinstance(raw, str) else b"B" + struct.pack("<I", len(raw)) + raw
    return ARRAY + b"(K\x01" + files.numbers(shape) + kind + b"\x89" + data + b"tb"


def attributes(name):
    """A tensor with an attribute of this name."""
    whole = T()
    inner = whole[len(files.V2) : -1]
    return TYPED + args(files.V2, TENSOR, inner, b"}" + files.text(name) + b"Ns")


WRONG = {
    "offset beyond": (T(offset=1), R, "out of bounds"),
    "offset far beyond": (T(offset=HUGE), R, "out of bounds"),
    "offset negative": (T(offset=-1), R, "negative"),
    "offset no number": (T(offset=b"G" + bytes(8)), U, "offset"),
    "offset a bool": (T(offset=b"\x88"), U, "offset"),
    "size beyond": (T(size=(5,)), R, "out of bounds"),
    "size far beyond": (T(size=(HUGE,)), R, "out of bounds"),
    "size that overflows": (T(size=(2**32, 2**32), stride=(2**32, 1)), R, "out of bounds"),
    "size that overflows over nothing": (T(size=(2**40, 2**40), stride=(0, 0)), R, "out of bounds"),
    "size negative": (T(size=(-1,)), R, "negative"),
    "size a list": (T(size=b"]"), U, "size"),
    "size of text": (T(size=b"(" + files.text("4") + b"t"), U, "size"),
    "size a number": (T(size=b"K\x04"), U, "size"),
    "stride beyond": (T(size=(2,), stride=(4,)), R, "out of bounds"),
    "stride far beyond": (T(size=(2,), stride=(HUGE,)), R, "out of bounds"),
    "stride negative": (T(stride=(-1,)), R, "negative"),
    "stride missing": (T(stride=()), R, "strides"),
    "stride too many": (T(stride=(1, 1)), R, "strides"),
    "dimensions": (T(size=(1,) * 65, stride=(1,) * 65), R, "65 dimensions"),
    "grad a number": (T(grad=b"K\x01"), U, "requires_grad"),
    "grad of integers": (T(store=S(b"ctorch\nIntStorage\n"), grad=b"\x88"), R, "floating"),
    "storage a number": (T(store=b"K\x01"), U, "no storage"),
    "storage a tensor": (T(store=T()), U, "no storage"),
    "storage a type": (T(store=b"ctorch\nFloatStorage\n"), U, "no storage"),
    "storage of no type": (T(store=S(b"N")), U, "type"),
    "storage of a class": (T(store=S(b"ctorch\nTensor\n")), U, "type"),
    "storage of quantised numbers": (T(store=S(b"ctorch\nQInt8Storage\n")), U, "QInt8Storage"),
    "storage without bytes": (T(store=S(numel=5)), R, "has 20 bytes, but its record has 16"),
    "storage of many bytes": (T(store=S(numel=2**60)), R, "record has 16"),
    "storage of fewer bytes": (T(store=S(numel=3)), R, "record has 16"),
    "storage of negative size": (T(store=S(numel=-4)), U, "can't have -4 elements"),
    "storage of a size too long to print": (T(store=S(numel=2**40_000)), U, "can't have a value"),
    "storage of text size": (T(store=S(numel=files.text("4"))), U, "key, location and size"),
    "storage not there": (T(store=S(key="1")), R, "no record 'data/1'"),
    "storage by path": (T(store=S(key="../data.pkl")), R, "no record"),
    "storage by empty key": (T(store=S(key="")), R, "no record"),
    "storage on no device": (T(store=S(location="")), R, "don't know"),
    "storage of two types": (
        b"(" + T() + T(store=S(b"ctorch\nIntStorage\n")) + b"t", U, "two types or sizes",
    ),
    "persistent id a number": (b"K\x01Q", U, "no persistent id"),
    "persistent id too short": (b"(" + files.text("storage") + b"tQ", U, "no persistent id"),
    "persistent id of an array": (b"(" + array() + b"NNNNtQ", U, "no persistent id"),
    "persistent id that repeats itself": (REPEATED + b"Q", U, "no persistent id"),
    "storage type that repeats itself": (T(store=S(REPEATED)), U, "type"),
    "storage size that repeats itself": (T(store=S(numel=REPEATED)), U, "key, location and size"),
    "size that repeats itself": (T(size=REPEATED), U, "size"),
    "stride that repeats itself": (T(stride=b"(" + REPEATED + b"t"), U, "stride"),
    "grad that repeats itself": (T(grad=REPEATED), U, "requires_grad"),
    "persistent id of a module": (
        b"(" + files.text("module") + b"NNNNtQ", U, "no persistent id",
    ),
    "tensor of two parts": (files.V2 + args(S(), b"K\x00"), U, "damaged"),
    "parameter of a number": (PARAMETER + args(b"K\x01\x89N"), U, "parameter"),
    "parameter of text": (PARAMETER + args(T(), files.text("a"), b"N"), U, "parameter"),
    "parameter of integers": (
        PARAMETER + args(T(store=S(b"ctorch\nIntStorage\n")), b"\x88N"), R, "floating",
    ),
    "untyped without a dtype": (
        T(store=S(b"ctorch.storage\nUntypedStorage\n", numel=16)), U, "without a dtype",
    ),
    "conjugate of what is large": (
        files.V2 + args(
            S(b"ctorch\nComplexFloatStorage\n", numel=2), b"K\x00",
            files.numbers([10**12]), files.numbers([0]), b"\x89N",
            b"}" + files.text("conj") + b"\x88s",
        ), NotImplementedError, "repeat elements",
    ),
    "sparse": (b"ctorch._utils\n_rebuild_sparse_tensor\n" + args(b"N", b")"), U, "a sparse tensor"),
    "layout": (b"ctorch.serialization\n_get_layout\n" + args(b"N"), U, "no layout"),
    "quantised": (b"ctorch._utils\n_rebuild_qtensor\n)R", NotImplementedError, "quantised"),
    "meta": (
        b"ctorch._utils\n_rebuild_meta_tensor_no_storage\n" + args(b"N", b")", b")", b"\x89"),
        U, "a meta tensor is made from",
    ),
    "no dtype here": (b"ctorch\nfloat4_e2m1fn_x2\n", NotImplementedError, "float4_e2m1fn_x2"),
    "device of a number": (b"ctorch\ndevice\nK\x01\x85R", U, "device"),
    "device of no name": (b"ctorch\ndevice\n" + files.text("x") + b"\x85R", R, "device"),
    "size of text in it": (b"ctorch\nSize\n(" + files.text("a") + b"t\x85R", U, "integers"),
    "rebuilt by a dict": (TYPED + args(b"}", TENSOR, b")", b"}"), U, "rebuilds no tensors"),
    "rebuilt by encode": (
        TYPED + args(b"c_codecs\nencode\n", TENSOR, files.text("a") + b"\x85", b"}"), U, "rebuilds",
    ),
    "made a number": (
        TYPED + args(files.V2, b"K\x01", T()[len(files.V2):-1], b"}"), U, "made into",
    ),
    "made an array": (
        TYPED + args(files.V2, b"cnumpy\nndarray\n", T()[len(files.V2):-1], b"}"), U, "made into",
    ),
    **{
        f"attribute {name}": (attributes(name), U, "not the user's to set")
        for name in (
            "node", "_data", "_storage", "_grad", "_gfn", "_hooks", "grad", "shape", "data", "sum",
            "__class__", "__dict__", "_leaf_rg", "requires_grad", "a b", "", "__del__",
        )
    },
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(what):
    body, error, text = WRONG[what]
    tracemalloc.start()
    try:
        with pytest.raises(error, match=text):
            files.load(files.good(body))
        assert tracemalloc.get_traced_memory()[1] < 5_000_000
    finally:
        tracemalloc.stop()


def test_what_is_right():
    assert files.load(files.good()).tolist() == [1, 2, 3, 4]
    assert files.load(files.good(T(offset=1, size=(3,)))).tolist() == [2, 3, 4]
    assert files.load(files.good(T(size=(2, 2), stride=(1, 2)))).tolist() == [[1, 3], [2, 4]]
    assert files.load(files.good(T(offset=3, size=(3, 2), stride=(0, 0)))).tolist() == [[4, 4]] * 3
    assert files.load(files.good(T(offset=4, size=(0,)))).shape == (0,)
    assert files.load(files.good(T(size=(), stride=()))).item() == 1
    wide = files.load(files.good(T(size=(10**9,), stride=(0,))))
    assert wide.shape == (10**9,) and wide[10**8].item() == 1
    old = b"ctorch._utils\n_rebuild_tensor\n" + args(S(), b"K\x00", b"K\x04\x85", b"K\x01\x85")
    assert files.load(files.good(old)).tolist() == [1, 2, 3, 4]
    p = files.load(files.good(PARAMETER + args(T(), b"\x88", b"}")))
    assert type(p) is nn.Parameter and p.requires_grad
    assert files.load(files.good(attributes("mine"))).mine is None


@pytest.mark.parametrize("mapped", [False, True])
def test_the_other_byte_order(tmp_path, mapped):
    raw = struct.pack(">4f", 1, 2, 3, 4)
    records = {"data/0": raw, "byteorder": b"big"}
    complex_ = T(size=(2,), store=S(b"ctorch\nComplexFloatStorage\n", numel=2))
    (tmp_path / "x.pt").write_bytes(files.archive(files.whole(T()), records))
    if mapped:
        with pytest.raises(RuntimeError, match="byte order"):
            facula.load(tmp_path / "x.pt", mmap=True)
        return
    assert facula.load(tmp_path / "x.pt").tolist() == [1, 2, 3, 4]
    got = files.load(files.archive(files.whole(complex_), records))
    assert got.tolist() == [1 + 2j, 3 + 4j]


NUMPY = {
    "too few bytes": array(raw=bytes(7)),
    "too many bytes": array(raw=bytes(9)),
    "huge": array(shape=(2**40,)),
    "negative": array(shape=(-2,)),
    "overflow": array(shape=(2**40, 2**40), raw=b""),
    "objects": array(kind=dtype("O")),
    "objects by name": array(kind=dtype("O8")),
    "fields": array(kind=dtype("f4,f4")),
    "void": array(kind=dtype("V8")),
    "date": array(kind=dtype("M8")),
    "no dtype": array(kind=b"N"),
    "dtype of torch": array(kind=b"ctorch\nfloat32\n"),
    "another class": b"cnumpy._core.multiarray\n_reconstruct\n" + args(TENSOR, b"K\x00\x85", b"N"),
    "no state": ARRAY + b"Nb",
    "short state": ARRAY + b"(NNtb",
    "dtype with fields": dtype() + STATE.replace(b"NNN", b"N}}"),
    "dtype with a strange order": dtype() + STATE.replace(files.text("<"), files.text("%")),
    "dtype of a number": b"cnumpy\ndtype\nK\x01\x85R",
    "dtype of long text": dtype("f" * 40),
    "dtype that is none": dtype("zz"),
    "dtype that is a Python literal": dtype("01"),
    "dtype with a leading zero": dtype("f04"),
    "dtype of endless text": dtype("U999999999"),
    "scalar of two": (
        b"cnumpy._core.multiarray\nscalar\n" + args(dtype(), b"B\x08\0\0\0" + bytes(8))
    ),
    "scalar of an object": b"cnumpy._core.multiarray\nscalar\n" + args(dtype("O"), b"N"),
    # 40 MB out of 140 KB: PyTorch writes the bytes of each array for themselves.
    "many copies": b"]" + b"B" + struct.pack("<I", 10**5) + bytes(10**5) + b"q\x070"
    + b"".join(
        ARRAY + b"(K\x01" + files.numbers((25_000,)) + dtype() + b"\x89h\x07tba" for _ in range(400)
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", NUMPY)
def test_numpy_data_that_is_refused(what):
    with pytest.raises(U):
        files.load(files.archive(files.whole(NUMPY[what], 3)))


def test_numpy_data_that_is_right():
    got = files.load(files.archive(files.whole(array(raw=struct.pack("<2f", 1, 2)), 3)))
    assert got.tolist() == [1, 2] and got.flags.writeable
