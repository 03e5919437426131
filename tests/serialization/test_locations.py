"""map_location in all its forms."""

from __future__ import annotations

import pytest
from serialization import files

import facula


def at(location):
    return files.good(files.tensor(store=files.storage(location=location)))


def load(location, map_location=None):
    return files.load(at(location), map_location=map_location).tolist()


RIGHT = [
    ("cpu", None),
    ("cpu", "cpu"),
    ("cuda:0", "cpu"),
    ("cuda:0", facula.device("cpu")),
    ("mps", "cpu:0"),
    ("cuda:0", {"cuda:0": "cpu"}),
    ("cpu", {"cuda:0": "cpu"}),
    ("cuda:1", lambda storage, location: storage),
    ("cuda:1", lambda storage, location: storage.cpu()),
    ("cpu", lambda storage, location: None),
]


@pytest.mark.parametrize("location, map_location", RIGHT)
def test_storages_come_to_the_cpu(location, map_location):
    assert load(location, map_location) == [1, 2, 3, 4]


WRONG = [
    ("cuda:0", None, RuntimeError, r"cuda:0.*map_location='cpu'"),
    ("cuda:0", {"cuda:1": "cpu"}, RuntimeError, "cuda:0"),
    ("cpu", "cuda", RuntimeError, "'cuda'"),
    ("cpu", "cuda:3", RuntimeError, "cuda:3"),
    ("cpu", {"cpu": "cuda:2"}, RuntimeError, "cuda:2"),
    ("mps", None, RuntimeError, "don't know how to restore a storage on 'mps'"),
    ("cuda:0", lambda storage, location: None, RuntimeError, "cuda:0"),
    ("cpu", lambda storage, location: storage.cuda(1), RuntimeError, "CUDA"),
    ("cpu", lambda storage, location: 3, TypeError, "returned a int"),
    ("cpu", 3, TypeError, "map_location should be .* got a int"),
    ("cpu", "nowhere", RuntimeError, "nowhere"),
]


@pytest.mark.parametrize("location, map_location, error, text", WRONG)
def test_other_places_are_refused(location, map_location, error, text):
    with pytest.raises(error, match=text):
        load(location, map_location)


def test_what_a_function_is_told():
    told = []

    def function(storage, location):
        told.append((location, storage.nbytes(), storage.size(), len(storage), str(storage.device)))
        return storage

    load("cuda:7", function)
    assert told == [("cuda:7", 16, 4, 4, "cpu")]
    facula.load(files.DATA / "legacy.pt", map_location=function)
    assert len(told) > 1


def test_tensors_come_to_the_meta_device_without_values():
    for there in ("meta", facula.device("meta"), {"cpu": "meta"}):
        made = files.load(at("cpu"), map_location=there)
        assert made.is_meta and made.shape == (4,) and made.dtype is facula.float32


def test_classes_of_storages_by_their_name():
    for kind in (facula.FloatStorage, facula.UntypedStorage):
        assert facula.serialization.normalize_storage_type(kind) is kind
