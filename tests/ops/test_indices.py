"""Indexing: positions of what is not zero, and errors in their order."""

import numpy as np
import pytest
from nn.stored import agrees, raised

import facula as torch
from facula.ops.indices import known, positions


@pytest.mark.parametrize(
    "shape", [(0,), (7,), (3, 4), (0, 4), (4, 0), (1, 1), (2, 3, 5), (5, 1, 2, 3)], ids=str
)
@pytest.mark.parametrize("dtype", [bool, np.float32, np.int64, np.complex64])
def test_positions(shape, dtype, rng):
    a = rng.integers(0, 2, shape).astype(dtype)
    for b in (a, a.T, a[..., ::-1]):
        got = positions(b)
        want = np.nonzero(b)
        assert len(got) == len(want)
        for x, y in zip(got, want, strict=True):
            assert x.dtype == y.dtype
            assert x.tolist() == y.tolist()


def test_what_is_no_number_is_not_zero():
    assert [x.tolist() for x in positions(np.array([[0.0, -0.0], [np.nan, 2]]))] == [[1, 1], [0, 1]]


def test_looking_at_values_makes_no_view():
    x = torch.tensor([1.0, 2.0], requires_grad=True) * 2
    assert known(x).tolist() == [2, 4]
    assert x._storage is None
    assert x.requires_grad
    assert known(torch.empty(3, 2, device="meta")).size == 0


def test_what_is_wrong_with_a_tensor_comes_before_its_index_tensors():
    leaf = torch.zeros(2, 3).requires_grad_()
    masks = torch.tensor([True, False, True])
    for index in (masks, torch.tensor([1, 7]), torch.tensor([1.0])):
        with pytest.raises(RuntimeError, match="leaf Variable"):
            leaf[index] = 0.5
        with pytest.raises(IndexError):
            leaf.detach()[index] = 0.5
    with pytest.raises(IndexError):  # plain indices come first
        leaf[5] = 0.5


ROWS = [
    [0, 2, -1],
    [],
    torch.tensor([2, 0, 0]),
    torch.tensor([-4, 3], dtype=torch.int32),
    torch.tensor([[0, 1], [2, -1]]),
    torch.tensor([True, False, False, True]),
    torch.tensor([False] * 4),
    np.array([1, -2]),
]


@pytest.mark.parametrize("number", range(len(ROWS)))
@pytest.mark.parametrize("layout", ["plain", "turned", "part"])
def test_whole_rows_are_those_that_numpy_picks(number, layout):
    x = {
        "plain": lambda: torch.arange(12.0).reshape(4, 3),
        "turned": lambda: torch.arange(12.0).reshape(3, 4).t(),
        "part": lambda: torch.arange(24.0).reshape(4, 6)[:, ::2],
    }[layout]()
    index = ROWS[number]
    with_numpy = index.numpy() if isinstance(index, torch.Tensor) else np.array(index, dtype=int)
    for _ in range(3):
        got = x[index]
        assert got.tolist() == x.numpy()[with_numpy].tolist()
    got.zero_()  # a copy
    assert x.sum() > 0


@pytest.mark.parametrize("index", [[4], [-5], torch.tensor([0, 4]), torch.tensor([-5])])
def test_a_row_out_of_bounds_is_named(index):
    x = torch.ones(4, 3)
    with pytest.raises(IndexError, match="out of bounds for dimension 0 with size 4"):
        x[index]
    with pytest.raises(IndexError, match="mask"):
        x[torch.tensor([True, False])]


def test_an_index_that_was_met_before_makes_the_same_views():
    x = torch.arange(24.0).reshape(2, 3, 4)
    y = x.transpose(0, 2)
    for _ in range(3):
        for t in (x, y):
            n = t.numpy()
            for index in (
                (slice(None), None),
                (None, 1, Ellipsis),
                (Ellipsis, None),
                (slice(1, None), None, slice(0, 2)),
                (0, None, None, 1),
                (None,),
            ):
                v = t[index]
                assert v.tolist() == n[index].tolist()
                assert v.data_ptr() - t.data_ptr() == n[index].ctypes.data - n.ctypes.data
    v = x[:, None]
    v += 1
    assert x[0, 0, 0] == 1 and v.shape == (2, 1, 3, 4)


def test_an_empty_list_picks_nothing_an_empty_tensor_of_floats_is_no_index():
    a = torch.tensor([1, 2, 3])
    assert a[[]].tolist() == a[torch.tensor([], dtype=torch.int64)].tolist() == []
    with pytest.raises(IndexError, match="got float32"):
        a[torch.tensor([])]


BYTES = [
    (lambda x, m: x[0, m], [0, 2]),
    (lambda x, m: x[:, m], [[0, 2], [4, 6]]),
    (lambda x, m: x.index_put((torch.tensor([0]), m), torch.tensor([5, 6]))[0], [5, 1, 6, 3]),
]


@pytest.mark.parametrize("pick, expected", BYTES)
def test_masks_of_bytes_pick_with_a_warning(pick, expected):
    mask = torch.tensor([1, 0, 1, 0], dtype=torch.uint8)
    with pytest.warns(UserWarning, match="indexing with dtype torch.uint8 is now deprecated"):
        assert pick(torch.arange(8).view(2, 4), mask).tolist() == expected


@pytest.mark.parametrize("value", [5, [5]])
@pytest.mark.parametrize("rows", [0, slice(None)])
def test_one_value_is_put_by_a_boolean_mask_only(rows, value):
    x, mask = torch.zeros(2, 4), torch.tensor([1, 0, 1, 0], dtype=torch.uint8)
    with pytest.raises(RuntimeError, match="masked_fill_ only supports boolean masks"):
        x[rows, mask] = torch.tensor(value, dtype=torch.float32)
    x[rows, mask.bool()] = torch.tensor(value, dtype=torch.float32)
    assert x[0].tolist() == [5, 0, 5, 0]


@agrees
def test_which_error_of_a_forbidden_view_comes_first(torch):
    """That of indices which do not fit each other comes after that of the history."""
    out = []
    for many in (True, False):
        base = torch.ones(3, 4, requires_grad=True) * 2
        with torch.set_grad_enabled(many):
            view = base.split([2, 1])[0] if many else base[:2]
        base.mul_(2)
        unlike = torch.tensor([0, 0, 0]), torch.tensor([0, 1])
        for index in (unlike, torch.tensor([9]), "a", (0, 0, 0)):
            out.append(raised(view.__getitem__, index))
    return out


@agrees
def test_what_may_be_an_index(torch):
    """Sequences and arrays of floats are rounded towards zero; of NumPy's numbers only integers
    are indices; a list of fewer than 32 items that are no numbers is a tuple."""
    picks = (
        np.bool_(True), np.float32(1), np.float64(1), np.array(True), np.array([True, False]),
        np.array(1), np.array(1.7), np.array([1.0]), np.array([0, 1]), 1.0, "a", b"a",
        np.str_("a"), np.complex64(1), (0, np.bool_(True)), (0, np.array(True)), [np.int64(0)],
        [0, 1.0], [1.5], [[0, 1], [1, 0]], ([0, 1], [1, 0]), range(2), [], (), ([],), ((),),
        2**70, np.uint64(1), [True, False], (0, [True, False, True]), [None], [...], (None, True),
        [torch.tensor(0), torch.tensor(1)], [np.array([0]), np.array([1])], [[0, 1]] * 32,
        [[0, 1]] * 31, [torch.tensor(0)] * 40, [[1.0, 0.0]] * 2, [np.array([0, 1])] * 40,
        (0, np.array([1.7])), (slice(None), [0.0, 2.0]), 1.5, [[0.5]], [[]], [[], []],
        (slice(None), []), np.zeros(0), np.zeros((0, 2)),
    )  # fmt: skip
    out = []
    for pick in picks:
        x = torch.arange(6.0).reshape(2, 3)
        try:
            out.append(x[pick].tolist())
        except Exception as error:
            out.append(type(error).__name__)
        out.append([raised(x.__setitem__, pick, 7), x.tolist()])
    return out
