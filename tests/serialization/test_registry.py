"""What a user allows besides."""

from __future__ import annotations

import enum
import io
import pickle

import pytest

import facula
from facula import nn, serialization


class Own:
    def __init__(self, a=0):
        self.a = a


class Slots:
    __slots__ = ("a",)


class SetState(Own):
    def __setstate__(self, state):
        self.a = ("set", state)


class Colour(enum.Enum):
    RED = 1


class Sub(facula.Tensor):
    pass


def double(x):
    return 2 * x


@pytest.fixture(autouse=True)
def clean():
    yield
    serialization.clear_safe_globals()


def through(value):
    out = io.BytesIO()
    facula.save(value, out)
    out.seek(0)
    return facula.load(out)


def test_a_class_is_refused_until_it_is_allowed():
    with pytest.raises(pickle.UnpicklingError, match=r"Own'.*add_safe_globals\(\[Own\]\)"):
        through({"own": Own(3)})
    with serialization.safe_globals([Own]):
        assert through([Own(3)])[0].a == 3
    with pytest.raises(pickle.UnpicklingError):
        through(Own(3))
    serialization.add_safe_globals([Own, Own])
    assert serialization.get_safe_globals() == [Own] and through(Own(4)).a == 4
    serialization.clear_safe_globals()
    assert serialization.get_safe_globals() == []


def test_states_of_every_kind():
    serialization.add_safe_globals([Slots, SetState, Colour])
    slots = Slots()
    slots.a = 5
    assert through(slots).a == 5
    assert through(SetState(1)).a == ("set", {"a": 1})
    assert through(Colour.RED) is Colour.RED
    assert through({Colour.RED: 1}) == {Colour.RED: 1}


def test_a_subclass_of_tensor():
    x = facula.ones(2).as_subclass(Sub)
    x.mine = "kept"
    with pytest.raises(pickle.UnpicklingError, match="Sub"):
        through(x)
    serialization.add_safe_globals([Sub])
    got = through(x)
    assert type(got) is Sub and got.tolist() == [1, 1] and got.mine == "kept"


def test_a_class_as_a_value():
    serialization.add_safe_globals([Own])
    assert through({"class": Own})["class"] is Own


def test_a_module_of_facula_has_pytorchs_name():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    out = io.BytesIO()
    facula.save(model, out)
    assert b"torch.nn.modules.linear" in out.getvalue() and b"facula" not in out.getvalue()
    out.seek(0)
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.container\.Sequential"):
        facula.load(out)


def test_an_allowed_name_in_files():
    serialization.add_safe_globals([(double, "some.where.twice")])
    from serialization import files

    body = b"csome.where\ntwice\nK\x04\x85R"
    assert files.load(files.archive(files.whole(body))) == 8


def test_wrong_arguments():
    for wrong in (3, "name"):
        with pytest.raises(TypeError, match="classes or functions"):
            serialization.add_safe_globals([Own, wrong])
    with pytest.raises(ValueError, match="pair"):
        serialization.add_safe_globals([(Own, 3)])
    assert serialization.get_safe_globals() == []
