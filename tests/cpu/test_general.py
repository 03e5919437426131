"""One text for many sizes: how many texts there are, and that no bit depends on it."""

import numpy as np
import pytest
from cpu.both import both

import facula as torch
import facula.nn.functional as F
from facula.compiler import lower, sizes
from facula.cpu import general
from facula.cpu.kernels import PARAMS
from facula.interpreter import program
from facula.trace.recorder import TLS, Recorder


@pytest.fixture(autouse=True)
def always(monkeypatch):
    """Each program is compiled when it is met, for sizes that change all the time."""
    monkeypatch.setattr(program, "COMPILE_AFTER", 0)
    monkeypatch.setattr(program, "FEW", 0)
    monkeypatch.setattr(lower, "_written", {})
    monkeypatch.setattr(sizes, "_known", {})
    monkeypatch.setattr(TLS, "r", Recorder())


@pytest.fixture
def texts(monkeypatch):
    """The texts that clusters of other sizes get."""
    made = []
    write = lower.Lowered._write

    def spy(self, c):
        calls = write(self, c)
        made.extend([k.text for k in calls])
        return calls

    monkeypatch.setattr(lower.Lowered, "_write", spy)
    return made


def norm(rows, columns):
    """A layer norm and its gradients: rows, columns, and partial results of them."""
    x = torch.randn(3, rows, columns).transpose(0, 1).requires_grad_()
    w, b = torch.randn(columns, requires_grad=True), torch.randn(columns, requires_grad=True)
    torch.synchronize()
    y = F.layer_norm(x, (columns,), w, b)
    (y * y.exp()).sum().backward()
    return [y, x.grad, w.grad, b.grad]


def attend(rows, columns):
    """Softmax and its gradient, over rows of any length."""
    x = torch.randn(2, rows, columns, requires_grad=True)
    torch.synchronize()
    y = F.softmax(x * 0.5, -1)
    (y * y).sum().backward()
    return [y, x.grad]


def look_up(rows, columns):
    """A table's rows, a sum over the first dimension, and what is put together."""
    table = torch.randn(50, 24, requires_grad=True)
    i = torch.randint(0, 50, (rows, columns))
    torch.synchronize()
    x = F.embedding(i, table)
    y = torch.cat([x, x * 2], 1)
    (y.sum(0) * y.exp().sum(0)).sum().backward()
    return [y, table.grad]


def filter_(rows, columns):
    """A convolution, its normalisation and pooling, of a batch of any size."""
    x = torch.randn(4 * (rows - 20) + columns, 3, 20, 20)
    w = torch.randn(8, 3, 3, 3, requires_grad=True)
    torch.synchronize()
    y = F.max_pool2d(F.batch_norm(F.conv2d(x, w), None, None, training=True).relu(), 2)
    (y * y).mean().backward()
    return [y, w.grad]


SIZES = [(m, n) for m in (20, 21, 27, 30) for n in (33, 50, 53, 60)]


@pytest.mark.parametrize(
    ("build", "most"), [(norm, 16), (attend, 8), (look_up, 44), (filter_, 50)], ids=lambda x: str(x)
)
def test_few_texts_serve_many_sizes(build, most, texts):
    for m, n in SIZES:
        both(lambda m=m, n=n: build(m, n), tolerance=2e-4)
    assert len(set(texts)) <= most < len(texts)
    before = len(set(texts))
    both(lambda: build(23, 57), tolerance=2e-4)
    assert len(set(texts)) <= before + 2


@pytest.mark.parametrize("build", [norm, attend, look_up, filter_])
@pytest.mark.parametrize("every", [True, False])
def test_no_bit_depends_on_it(build, every, monkeypatch):
    def all_of_them():
        monkeypatch.setattr(TLS, "r", Recorder())
        monkeypatch.setattr(lower, "_written", {})
        out = []
        for m, n in SIZES[::3]:
            torch.manual_seed(m)
            out += [x.detach().numpy().copy() for x in build(m, n)]
        return out

    monkeypatch.setattr(sizes, "ALL", every)
    got = all_of_them()
    monkeypatch.setattr(program, "FEW", 2)  # kernels for these sizes
    for a, b in zip(got, all_of_them(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_numbers_stand_first_in_the_descriptor(monkeypatch):
    text = f"declare i64 @llvm.x.i64(i64)\n;\ndefine void @NAME({PARAMS}) nounwind {{{{\nentry:\n"
    text += "  %v1 = load i64, ptr %D\n  %v2 = mul nsw i64 %v1, {}\n  %v3 = add nsw i64 7, %v2\n"
    text += "  %v4 = icmp ult <2 x i32> %v0, <i32 {}, i32 1>\n  ret void\n}}\n"
    made = []
    for n in (5, 6, 8, 9):
        descriptor = [("buffer", "a")]
        made.append(general.general(text.format(n, 3), descriptor))
        want = [("literal", n)] if n > 5 else []
        assert descriptor == [*want, ("buffer", "a")]
    assert made[0] != made[1] == made[2] == made[3]
    assert "%at0 = getelementptr i8, ptr %D0, i64 0\n" in made[3]
    assert "%D = getelementptr i8, ptr %D0, i64 8\n" in made[3]
    assert "mul nsw i64 %v1, %read0\n" in made[3] and "add nsw i64 7, %v2" in made[3]
    # A lane's constant has to stand in the text.
    descriptor = [("buffer", "a")]
    assert general.general(text.format(9, 4), descriptor) == text.format(9, 4)
    assert descriptor == [("buffer", "a")]


@pytest.mark.parametrize("seed", range(3))
def test_all_that_can_be_read_is_read(seed, monkeypatch):
    """Every operand that may come from the descriptor does: nothing is misread."""
    monkeypatch.setattr(sizes, "ALL", True)
    for build, (m, n) in zip((norm, attend, look_up, filter_), SIZES[seed::4], strict=False):
        both(lambda build=build, m=m, n=n: build(m, n), tolerance=2e-4)
