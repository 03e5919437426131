"""load: PyTorch's files come out as PyTorch wrote them; others are refused."""

from __future__ import annotations

import base64
import gzip
import io
import json
import pickle
import shutil
import tempfile
import tracemalloc
import zipfile
import zlib

import numpy as np
import pytest
from serialization import files

import facula
from facula import Tensor, nn

EXPECTED = json.loads((files.DATA / "expected.json").read_text())


def number(v):
    if isinstance(v, list):
        return [number(x) for x in v]
    if isinstance(v, dict):
        return complex(*map(number, v["complex"]))
    return float(v) if isinstance(v, str) and v in ("inf", "-inf", "nan") else v


def equal(a, b):
    if isinstance(a, list):
        return isinstance(b, list) and len(a) == len(b) and all(map(equal, a, b))
    return type(a) is type(b) and (a == b or (a != a and b != b))


def check(got, want, storages):
    """Assert that what was loaded is what PyTorch's side described."""
    kind = next(iter(want))
    if kind in ("Tensor", "Parameter"):
        assert type(got) is (nn.Parameter if kind == "Parameter" else Tensor)
        assert got.dtype is getattr(facula, want["dtype"]) and list(got.shape) == want["shape"]
        assert equal(got.detach().tolist(), number(want[kind]))
        assert got.requires_grad is want["requires_grad"] and got.is_leaf
        for name, value in want["attributes"].items():
            assert getattr(got, name) == value
        if got.numel() and want["storage"] is not None:
            assert list(got.stride()) == want["stride"]
            assert got.storage_offset() == want["offset"]
            start = got.data_ptr() - want["offset"] * got.itemsize
            assert storages.setdefault(want["storage"], start) == start
    elif kind == "numpy":
        assert type(got).__name__ == want["kind"]
        # NumPy turns arrays of the other byte order round when it reads them.
        assert got.dtype == np.dtype(want["dtype"]).newbyteorder("=")
        assert equal(got.tolist(), number(want["numpy"]))
    elif kind in ("dtype", "device", "Size"):
        assert type(got).__name__ == kind and str(got) == want[kind]
    elif kind in ("set", "frozenset", "bytes", "bytearray"):
        assert type(got).__name__ == kind and sorted(got) == sorted(want[kind])
    elif "metadata" in want:
        assert type(got).__name__ == kind and len(got) == len(want[kind])
        for (k, v), (want_k, want_v) in zip(got.items(), want[kind]):
            check(k, want_k, storages)
            check(v, want_v, storages)
        assert getattr(got, "_metadata", None) == want["metadata"]
    elif kind in ("list", "tuple"):
        assert type(got).__name__ == kind and len(got) == len(want[kind])
        for v, want_v in zip(got, want[kind]):
            check(v, want_v, storages)
    else:
        assert equal(got, number(want[kind]))


@pytest.mark.parametrize("source", ["path", "file", "bytes", "mmap"])
@pytest.mark.parametrize("name", EXPECTED)
def test_files_of_pytorch(name, source):
    path = files.DATA / f"{name}.pt"
    if source == "mmap" and name.startswith("legacy"):
        with pytest.raises(RuntimeError, match="zip format"):
            facula.load(path, mmap=True)
        return
    if source == "path":
        got = facula.load(path)
    elif source == "mmap":
        got = facula.load(str(path), mmap=True)
    elif source == "bytes":
        got = files.load(path.read_bytes())
    else:
        with open(path, "rb") as f:
            got = facula.load(f, weights_only=True)
    check(got, EXPECTED[name], {})


@pytest.mark.parametrize("mapped", [False, True])
def test_tensors_that_shared_memory_still_do(tmp_path, mapped):
    path = tmp_path / "views.pt"
    shutil.copy(files.DATA / "views.pt", path)
    before = path.read_bytes()
    got = facula.load(path, mmap=mapped)
    got["row"][0] = 100.0
    assert got["x"][1, 0] == got["t"][0, 1] == got["odd"][0, 0] == got["wide"][1, 0] == 100
    assert path.read_bytes() == before
    got = facula.load(path)
    got["x"].mul_(2)
    assert got["row"].tolist() == [8.0, 10.0, 12.0, 14.0]


def test_loaded_tensors_take_part_in_training():
    got = facula.load(files.DATA / "parameters.pt")
    p = got[0]
    (p * p).sum().backward()
    assert p.grad.tolist() == (2 * p).tolist()
    with facula.no_grad():
        p -= 0.5 * p.grad
    assert p.abs().sum().item() == 0.0


GOING_ON = json.loads((files.DATA / "going_on.json").read_text())
OPTIMIZERS = {o.lower(): o for o in ("Adam", "SGD", "AdamW", "RMSprop", "Adagrad", "Adadelta")}


@pytest.mark.parametrize("name", GOING_ON)
def test_training_goes_on(name):
    """The state of PyTorch's model, optimiser and schedule leads to where it leads PyTorch."""
    got = facula.load(files.DATA / f"{name}.pt")
    model = nn.Sequential(
        nn.Linear(3, 4, bias=False), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2)
    )
    model.load_state_dict(got["model"])
    opt = getattr(facula.optim, OPTIMIZERS[name.removeprefix("legacy_")])(model.parameters())
    opt.load_state_dict(got["optimizer"])
    schedule = facula.optim.lr_scheduler.CosineAnnealingLR(opt, 10)
    schedule.load_state_dict(got["schedule"])
    for _ in range(2):
        opt.zero_grad()
        model(facula.linspace(-1, 1, 15).reshape(5, 3) ** 2).pow(2).sum().backward()
        opt.step()
        schedule.step()
    *parameters, lr = GOING_ON[name]
    for p, want in zip(model.parameters(), parameters, strict=True):
        np.testing.assert_allclose(p.detach().numpy(), want, 1e-4, 1e-5)
    assert opt.param_groups[0]["lr"] == pytest.approx(lr, rel=1e-12)


def test_random_numbers_go_on():
    loaded = facula.Generator()
    loaded.set_state(facula.load(files.DATA / "generator.pt"))
    fresh = facula.Generator().manual_seed(7)
    for _ in range(2):
        assert facula.equal(facula.rand(5, generator=loaded), facula.rand(5, generator=fresh))


def test_what_is_no_checkpoint(tmp_path):
    with pytest.raises(FileNotFoundError):
        facula.load(tmp_path / "nothing.pt")
    with pytest.raises(EOFError, match="empty"):
        files.load(b"")
    with pytest.raises(pickle.UnpicklingError, match="no checkpoint"):
        files.load(b"hello world")
    with pytest.raises(pickle.UnpicklingError, match="another kind"):
        files.load(pickle.dumps({"a": 1}))
    with pytest.raises(RuntimeError, match=r"0 records named \*/data\.pkl"):
        files.load(files.archive(b"").replace(b"data.pkl", b"data.txt"))
    with pytest.raises(NotImplementedError, match="TorchScript"):
        files.load(files.archive(files.whole(b"N"), {"constants.pkl": b""}))


def test_kinds_of_files(tmp_path):
    path = tmp_path / "x.pt"

    class Named:
        def __fspath__(self):
            return str(path)

    facula.save(facula.ones(2), Named())
    data = path.read_bytes()
    assert facula.load(Named()).tolist() == facula.load(str(path)).tolist() == [1, 1]
    with gzip.open(tmp_path / "g", "wb") as f:
        facula.save(facula.ones(2), f)
    with gzip.open(tmp_path / "g") as f:
        assert facula.load(f).tolist() == [1, 1]
    with tempfile.SpooledTemporaryFile() as f:
        facula.save(facula.ones(2), f)
        f.seek(0)
        assert facula.load(f).tolist() == [1, 1]
    with zipfile.ZipFile(tmp_path / "z", "w") as z:
        z.writestr("x.pt", data)
    with zipfile.ZipFile(tmp_path / "z") as z, z.open("x.pt") as f:
        assert facula.load(f).tolist() == [1, 1]
    after_something = io.BytesIO(b"head")
    after_something.seek(4)
    facula.save(facula.ones(2), after_something)
    after_something.seek(4)
    assert facula.load(after_something).tolist() == [1, 1]
    with pytest.raises(pickle.UnpicklingError, match="begins with 'text'"):
        facula.load(io.StringIO("text"))
    with pytest.raises(IsADirectoryError):
        facula.load(tmp_path)
    with pytest.raises(TypeError, match="string"):
        facula.save(1, io.StringIO())
    with pytest.raises(IsADirectoryError):
        facula.save(1, tmp_path)
    with open(path, "rb") as f, pytest.raises(io.UnsupportedOperation):
        facula.save(1, f)
    assert path.read_bytes() == data


def test_arguments(tmp_path):
    data = files.good()
    with pytest.raises(ValueError, match="file path"):
        files.load(data, mmap=True)
    with pytest.raises(TypeError, match=r"unexpected arguments .*'mode'"):
        files.load(data, mode=3)
    with pytest.raises(NotImplementedError, match="pickle_module"):
        files.load(data, pickle_module=json)
    with pytest.raises(AttributeError, match=r"f has no read\(\)"):
        facula.load([data])
    assert files.load(data, weights_only=False, pickle_module=pickle).tolist() == [1, 2, 3, 4]


def test_text_of_python_2():
    old = files.whole(b"U\x02\xc3\xa9")
    assert files.load(files.archive(old)) == "é"
    assert files.load(files.archive(old), encoding="latin1") == "Ã©"
    assert files.load(files.archive(old), encoding="bytes") == b"\xc3\xa9"
    with pytest.raises(pickle.UnpicklingError, match="UnicodeDecodeError"):
        files.load(files.archive(files.whole(b"U\x01\xff")))


# ---- damage --------------------------------------------------------------------------------------

SAMPLES = ("views", "parameters", "adam", "numpy", "legacy", "plain", "protocol_4")


def outcome(data):
    """What loading gives: a value, or a refusal. Anything else is an error of the test."""
    tracemalloc.start()
    try:
        return files.load(data)
    except files.REFUSALS as error:
        assert str(error)
        return None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak < 20_000_000


@pytest.mark.parametrize("name", SAMPLES)
def test_truncated_files(name):
    data = (files.DATA / f"{name}.pt").read_bytes()
    for k in range(40):
        with pytest.raises(files.REFUSALS):
            files.load(data[: len(data) * k // 40])


@pytest.mark.parametrize("name", SAMPLES)
def test_changed_bytes(name, rng):
    data = (files.DATA / f"{name}.pt").read_bytes()
    for at in rng.integers(0, len(data), 60):
        changed = bytearray(data)
        changed[at] ^= 1 << rng.integers(8)
        outcome(bytes(changed))


@pytest.mark.parametrize("name", SAMPLES)
def test_changed_bytes_with_checksums_made_right(name, rng):
    """The pickle itself is changed, and packed as if nothing had happened."""
    if name == "legacy":
        data = bytearray((files.DATA / "legacy.pt").read_bytes())
        for _ in range(100):
            changed = bytearray(data)
            for _ in range(3):
                changed[rng.integers(len(data))] = rng.integers(256)
            outcome(bytes(changed))
        return
    with zipfile.ZipFile(files.DATA / f"{name}.pt") as z:
        records = {i.filename.split("/", 1)[1]: z.read(i) for i in z.infolist()}
    pickled = records.pop("data.pkl")
    for _ in range(100):
        changed = bytearray(pickled)
        for _ in range(rng.integers(1, 4)):
            at = rng.integers(len(changed))
            if rng.integers(3):
                changed[at] = rng.integers(256)
            else:
                changed[at : at + rng.integers(3)] = rng.bytes(rng.integers(3))
        outcome(files.archive(bytes(changed), records))


@pytest.mark.parametrize("mapped", [False, True])
def test_a_wrong_checksum(tmp_path, mapped):
    data = files.good()
    at = data.index(files.FOUR["data/0"])
    changed = data[:at] + b"\x01" + data[at + 1 :]
    (tmp_path / "x.pt").write_bytes(changed)
    if mapped:
        assert facula.load(tmp_path / "x.pt", mmap=True).shape == (4,)
    else:
        with pytest.raises(RuntimeError, match="checksum of record 'data/0'"):
            facula.load(tmp_path / "x.pt")


def test_values_that_stand_for_parts_of_the_format():
    with pytest.raises(NotImplementedError, match="storages that are saved by themselves"):
        files.load(files.archive(files.whole(files.storage()), files.FOUR))
    with pytest.raises(NotImplementedError, match="storages"):
        files.load(files.archive(files.whole(b"]ctorch\nFloatStorage\na")))
    with pytest.raises(pickle.UnpicklingError, match=r"OrderedDict.* as a value"):
        files.load(files.archive(files.whole(b"ccollections\nOrderedDict\n")))


# ---- the format before 1.6 -----------------------------------------------------------------------


def legacy_parts():
    data = (files.DATA / "legacy.pt").read_bytes()
    f, ends = io.BytesIO(data), []
    for _ in range(3):
        pickle.load(f)
        ends.append(f.tell())
    return data, ends


def test_legacy_files_one_after_the_other():
    data, _ = legacy_parts()
    f = io.BytesIO(b"head" + data + data)
    f.seek(4)
    for _ in range(2):
        assert facula.load(f)["n"] == 3
    with pytest.raises(EOFError):
        facula.load(f)


def test_legacy_heads():
    data, ends = legacy_parts()
    head, rest = data[: ends[0]], data[ends[1] :]
    with pytest.raises(RuntimeError, match="protocol version 1002"):
        files.load(head + pickle.dumps(1002, 2) + rest)
    with pytest.raises(pickle.UnpicklingError, match="which machine"):
        files.load(data[: ends[1]] + pickle.dumps([], 2) + data[ends[2] :])
    with pytest.raises(NotImplementedError, match="tar"):
        files.load(b"\x80" + bytes(256) + b"ustar" + bytes(300))


def test_legacy_of_the_other_byte_order():
    """Written by hand, as a big-endian machine would."""
    body = files.whole(b"]" + files.tensor(store=files.storage()[:-2] + b"NtQ") + b"a")
    head = [pickle.dumps(v, 2) for v in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": False})]
    raw = np.array([1, 2, 3, 4], ">f4").tobytes()
    data = b"".join(head) + body + pickle.dumps(["0"], 2) + (4).to_bytes(8, "big") + raw
    assert files.load(data)[0].tolist() == [1, 2, 3, 4]
    for keys, count, pattern in (
        ([], 4, "keys"),
        (["0", "0"], 4, "keys"),
        ("0", 4, "keys"),
        (["0"], 5, "5 elements"),
        (["0"], -1, "-1 elements"),
    ):
        bad = b"".join(head) + body + pickle.dumps(keys, 2)
        with pytest.raises(pickle.UnpicklingError, match=pattern):
            files.load(bad + count.to_bytes(8, "big", signed=True) + raw)
    with pytest.raises(pickle.UnpicklingError, match="ends early"):
        files.load(data[:-1])


# pickle.dumps of a dict of a transposed tensor, a parameter and bfloat16 values, by PyTorch 2.13.
PLAIN = """
eNrVkj1v1DAYgG0nvZOuFCqYGJAYw3IKp2tKplanqksElLJkQVYuMU2QG8eOU6lIJ2VpaVE2zMbQsX+tPwGJgfeScuqh6w+o
5ddO3jzxx2PX9s8XNmrLzDgN1qZ5pIWK0yGtdMZL0zylik2rjCdUs7wUip6MzA9ANzqshC46YqbZpFxECf2sxDGdnmpWAjV5
hhGqyfcB//Nr//fLL9cHz4c1eXtjQTuTyAk3Yd5CCS1iwekJU2UmcokBCDfgC8+05oyyPMmiXJKLcABJfVowWmZfWSmtmbSd
cA2SZSqUlmsBCS14y3Ite4EdzjfGRX4k+4FdVTCnE/bncLdkieJ2C4N9WLj+2CUHEoePgfHH7sh3/ZE39t0tT3bjxkUlraD3
Tkv7A4z2SaJVLI6GPXS31DvQ7EKFqCGuds2ZOTQBCqyAnJsAB9a5uWzWwQFnsQYFoH39vUqYYsleFmsw+erQaPinwYVJyZ0z
KSIVHTPNFDCp7aT9if0QlO+JasrZSueu521te/6yc7za+YIF53jJOVo4xmdmHpfpk1uHF+3Tt9ZmeiuNPARpk/aivvbu0+Zv
j903S9rIvdo6FrSRxSWtd/4pI/8rq4Z/AfAvMDo=
"""


class PlainUnpickler(pickle.Unpickler):
    """What `facula run` makes of the names: `torch` is Facula."""

    def find_class(self, module, name):
        return super().find_class(module.replace("torch", "facula", 1), name)


def test_tensors_in_plain_pickles_of_pytorch():
    data = zlib.decompress(base64.b64decode(PLAIN))
    got = PlainUnpickler(io.BytesIO(data)).load()
    assert got["t"].tolist() == [[0, 3], [1, 4], [2, 5]] and got["t"].stride() == (1, 3)
    assert isinstance(got["p"], nn.Parameter) and got["p"].requires_grad
    assert got["p"].dtype is facula.float64 and got["p"].tolist() == [2]
    assert got["h"].dtype is facula.bfloat16 and got["h"].tolist() == [1, 1]
    with pytest.raises(pickle.UnpicklingError, match="is no checkpoint"):
        facula.storage._load_from_bytes(pickle.dumps([1]))
