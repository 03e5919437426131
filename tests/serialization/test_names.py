"""Names in pickles: what is renamed, and that nothing else is."""

import io
import pickle
import pickletools
from collections import OrderedDict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import facula
from facula import nn
from facula.serialization import names, saving

PLAIN = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.integers(min_value=1 << 2000, max_value=1 << 2100),
    lambda s: st.lists(s) | st.dictionaries(st.text() | st.integers(), s) | st.tuples(s, s, s, s),
)


@pytest.mark.parametrize("protocol", names.PROTOCOLS)
@settings(max_examples=200)
@given(value=PLAIN)
def test_what_has_no_names_of_facula_stays_as_it_is(protocol, value):
    data = pickle.dumps(value, protocol)
    assert names.renamed(data) == data


@pytest.mark.parametrize("protocol", names.PROTOCOLS)
def test_opcodes_of_all_lengths(protocol):
    shared = ["x" * 300, 1 << 5000, -(1 << 40000), b"y" * 300, 1.5, 1 << 20, 70000, -1]
    value = [shared, dict.fromkeys(range(1000), shared), *map(str, range(700)), {1, 2}, 1j]
    value.append(value)  # a list in itself; then a tuple in itself
    data = pickle.dumps((value, OrderedDict(a=1)), protocol)
    assert names.renamed(data) == data


def test_what_only_looks_like_a_name_is_a_string():
    text = "cfacula.tensor\nTensor\n"
    written = saving._pickled([text, facula.Tensor, text + "x"], 2, False)[0]
    assert written.count(b"cfacula.tensor\nTensor\n") == 2
    assert written.count(b"ctorch\nTensor\n") == 1


def globals_of(data):
    """The names that a pickle of protocol 2 or 3 refers to."""
    return [arg for op, arg, _ in pickletools.genops(data) if op.name == "GLOBAL"]


class Named:
    """A class of the user's."""


@pytest.mark.parametrize("protocol", names.PROTOCOLS)
def test_both_picklers_write_the_same_names(protocol):
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
    optimizer = facula.optim.Adam(model.parameters())
    sparse = facula.eye(3).to_sparse()
    value = [
        *(model, model.state_dict(), optimizer.state_dict(), sparse, Named(), Named, print),
        *(facula.float16, facula.bool, facula.device("cpu"), facula.Size([1]), facula.strided),
        *(facula.ones(2, device="meta"), facula.ones(2, dtype=facula.uint16), nn.Linear, len),
    ]
    got = saving._pickled(value, protocol, False)[0]
    out = io.BytesIO()
    saving._Plain(out, protocol).dump(value)
    assert globals_of(got) == globals_of(out.getvalue())
    assert not [n for n in globals_of(got) if "facula" in n]


def test_functions_whose_module_has_them_not():
    """They are written without being looked up."""
    written = saving._pickled([facula.relu, nn.functional.gelu], 2, False)[0]
    assert globals_of(written) == ["torch relu", "torch.nn.functional gelu"]


def test_an_opcode_that_nobody_wrote():
    with pytest.raises(pickle.PicklingError, match="opcode 0x46 at 2"):
        names.renamed(b"\x80\x02F1.5\n.")


def test_names_are_found_by_their_keys():
    assert getattr(names, names.name("torch", "Size").key) is names.name("torch", "Size")
    with pytest.raises(AttributeError, match="no_such"):
        names.no_such
    with pytest.raises(NotImplementedError, match=r"torch\.Size is only a name"):
        names.name("torch", "Size")()
