"""save: what is written, and that a path never holds half of it.

That PyTorch reads these files was checked with PyTorch; the shape of the pickle is held here.
"""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import stat
import sys
import zipfile

import numpy as np
import pytest
from serialization import files
from serialization.test_loading import EXPECTED, check

import facula
from facula import nn
from facula.serialization import saving


def saved(value, **options):
    out = io.BytesIO()
    facula.save(value, out, **options)
    return out.getvalue()


def through(value, **options):
    return files.load(saved(value, **options))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("name", EXPECTED)
def test_what_pytorch_wrote_can_be_written_again(name, protocol):
    got = facula.load(files.DATA / f"{name}.pt")
    want = EXPECTED[name]
    if name == "requires_grad":
        got = [t.detach().requires_grad_() for t in got]
    check(through(got, pickle_protocol=protocol), want, {})


TOO_NEW = {"dtype_uint16", "dtype_uint32", "dtype_uint64"}


@pytest.mark.parametrize("name", [n for n in EXPECTED if n not in TOO_NEW])
def test_the_format_before_1_6(name, tmp_path):
    got = facula.load(files.DATA / f"{name}.pt")
    if name == "requires_grad":
        got = [t.detach().requires_grad_() for t in got]
    path = tmp_path / "x.pt"
    facula.save(got, path, _use_new_zipfile_serialization=False)
    assert path.read_bytes().startswith(b"\x80\x02\x8a")
    check(facula.load(path), EXPECTED[name], {})


@pytest.mark.parametrize("name", ["views", "parameters", "tensor", "dtype_uint16", "plain", "tied"])
def test_the_pickle_is_pytorchs(name):
    """The same operations in the same order; only the numbers of the memo may differ.

    Whether two equal texts are one object is the interpreter's affair.
    """

    def operations(data):
        with zipfile.ZipFile(io.BytesIO(data)) as z:
            pickled = z.read(next(n for n in z.namelist() if n.endswith("/data.pkl")))
        found, memo = [], {}
        for op, arg, _ in pickletools.genops(pickled):
            if "PUT" in op.name:
                memo[arg] = found[-1]
            elif "GET" not in op.name:
                found.append((op.name, arg))
            elif memo[arg][0] == "BINUNICODE":
                found.append(memo[arg])
            else:
                found.append(("GET", memo[arg][0]))
        return found

    data = (files.DATA / f"{name}.pt").read_bytes()
    assert operations(saved(files.load(data))) == operations(data)


def test_the_records_are_pytorchs(tmp_path):
    facula.save({"x": facula.ones(3)}, tmp_path / "model.v1.pt")
    with zipfile.ZipFile(tmp_path / "model.v1.pt") as z:
        got = {i.filename: z.read(i) for i in z.infolist()}
    assert set(got) == {
        f"model.v1/{n}"
        for n in (
            "data.pkl",
            ".format_version",
            ".storage_alignment",
            "byteorder",
            "data/0",
            "version",
        )
    }
    assert got["model.v1/version"] == b"3\n" and got["model.v1/.storage_alignment"] == b"64"
    assert got["model.v1/byteorder"].decode() == sys.byteorder
    assert got["model.v1/data/0"] == np.ones(3, np.float32).tobytes()
    assert b"byteorder" not in saved(1, _disable_byteorder_record=True)


def test_memory_is_written_once_and_shared():
    x = facula.arange(1000.0)
    data = saved(
        {"x": x, "half": x[:500], "square": x.reshape(10, 100).T, "parameter": nn.Parameter(x)}
    )
    with zipfile.ZipFile(io.BytesIO(data)) as z:
        assert [n for n in z.namelist() if "/data/" in n] == ["archive/data/0"]
    got = files.load(data)
    got["x"][1] = -1.0
    assert got["half"][1] == got["square"][1, 0] == got["parameter"][1] == -1
    assert got["square"].stride() == (1, 100)


def test_layouts():
    base = facula.arange(24.0).reshape(2, 3, 4)
    array = np.arange(24.0).reshape(4, 6)
    for t in (
        base.permute(2, 0, 1),
        base.permute(2, 0, 1).clone(),
        base[1, :, 1:3],
        base[:, :, 1],
        base.expand(5, 2, 3, 4),
        base.sum(),
        facula.from_numpy(array[1:, ::2]),
        facula.from_numpy(array.T),
        facula.empty(0, 3),
        (base * 1j).real,
        base[0, 0, 0],
    ):
        got = through(t)
        assert got.tolist() == t.tolist() and got.dtype is t.dtype and got.shape == t.shape
        if t.numel():
            assert got.stride() == t.stride()


def test_pending_and_stale_tensors():
    x = facula.ones(4)
    view = x[1:]
    x.mul_(3)
    y = x + view.sum()
    got = through([view, y, x])
    assert [t.tolist() for t in got] == [[3.0] * 3, [12.0] * 4, [3.0] * 4]
    assert got[0].data_ptr() == got[2].data_ptr() + 4


def test_a_result_of_autograd_is_saved_as_a_leaf():
    got = through(facula.ones(2, requires_grad=True) * 2)
    assert got.requires_grad and got.is_leaf and got.tolist() == [2, 2]


def test_models_and_optimisers(tier):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    opt = facula.optim.Adam(model.parameters(), lr=0.01)
    x = facula.randn(5, 3)

    def step(model, opt):
        opt.zero_grad()
        model(x).pow(2).sum().backward()
        opt.step()
        return [p.detach().tolist() for p in model.parameters()]

    step(model, opt)
    got = through({"model": model.state_dict(), "opt": opt.state_dict()})
    again = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    again.load_state_dict(got["model"])
    opt2 = facula.optim.Adam(again.parameters())
    opt2.load_state_dict(got["opt"])
    assert got["model"]._metadata == model.state_dict()._metadata
    for _ in range(3):
        assert step(model, opt) == step(again, opt2)


def test_parameters_without_a_shape_and_buffers():
    got = through([nn.parameter.UninitializedParameter(), nn.Buffer(facula.ones(2))])
    assert type(got[0]) is nn.parameter.UninitializedParameter and got[0].requires_grad
    assert isinstance(got[1], nn.Buffer) and got[1].tolist() == [1, 1]


@pytest.mark.parametrize("protocol", [0, 1, 6, -1])
def test_arguments(protocol):
    with pytest.raises(NotImplementedError, match=f"pickle_protocol={protocol}"):
        saved(1, pickle_protocol=protocol)
    with pytest.raises(RuntimeError, match=r"before PyTorch 1\.6 has no torch\.uint16"):
        saved(facula.ones(2).to(facula.uint16), _use_new_zipfile_serialization=False)
    with pytest.raises(NotImplementedError, match="pickle_module"):
        saved(1, pickle_module=zipfile)
    with pytest.raises(AttributeError, match="path or a file"):
        facula.save(1, 3)


def test_memory_seen_as_two_types_is_refused():
    z = facula.ones(2) * 1j
    with pytest.raises(RuntimeError, match=r"complex64 and torch\.float32"):
        saved([z, z.real])


# ---- the file ------------------------------------------------------------------------------------


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "x.pt"
    facula.save({"a": 1}, path)
    before = path.read_bytes()
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        facula.save({"a": lambda: 1}, path)

    class Full(Exception):
        pass

    for name in ("fsync", "replace"):

        def fail(*args, name=name):
            raise Full(name)

        with monkeypatch.context() as m:
            m.setattr(saving.os, name, fail)
            with pytest.raises(Full):
                facula.save({"a": 2}, path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["x.pt"]
    facula.save({"a": 2}, path)
    assert facula.load(path) == {"a": 2} and os.listdir(tmp_path) == ["x.pt"]


def test_no_folder(tmp_path):
    with pytest.raises(RuntimeError, match=r"parent directory .* does not exist"):
        facula.save(1, tmp_path / "no" / "x.pt")


@pytest.mark.skipif(os.name != "posix", reason="POSIX modes and links")
def test_modes_links_and_devices(tmp_path):
    path = tmp_path / "x.pt"
    before = os.umask(0o027)
    try:
        facula.save(1, path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    path.chmod(0o600)
    link = tmp_path / "link.pt"
    link.symlink_to("x.pt")
    facula.save(2, link)
    assert link.is_symlink() and facula.load(path) == 2
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    facula.save(3, os.devnull)


def test_a_stream_that_cannot_be_sought():
    parts = []

    class Stream:
        def write(self, data):
            parts.append(bytes(data))

    facula.save({"x": facula.arange(3)}, Stream())
    assert files.load(b"".join(parts))["x"].tolist() == [0, 1, 2]


def test_names_of_files(tmp_path):
    for name in ("x", ".hidden", "a.b.c", "grüße.pt"):
        facula.save(name, tmp_path / name)
        assert facula.load(str(tmp_path / name)) == name


def test_under_the_name_torch():
    assert facula.serialization.save is facula.save and facula.serialization.load is facula.load


def test_numbers_of_8_bits_come_back():
    x = facula.tensor([1.0, -0.5, 3.0]).to(facula.float8_e4m3fn)
    for got in [through({"x": x})["x"], through([x, x[1:]])[0]]:
        assert got.dtype is x.dtype and got.float().tolist() == [1, -0.5, 3]


def test_slices_and_ranges_of_files_that_are_trusted():
    value = {"part": slice(1, None, 2), "steps": range(3)}
    data = saved(value)
    assert files.load(data, weights_only=False) == value
    with pytest.raises(pickle.UnpicklingError):
        files.load(data)


def test_storages_by_themselves_are_refused():
    x = facula.ones(2)
    for storage in [x.untyped_storage(), x.storage()]:
        with pytest.raises(NotImplementedError, match="storages"):
            saved({"a": storage})
