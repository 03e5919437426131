"""The loss of alignments, compiled, against the interpreter; and its derivatives."""

import pytest
from cpu.both import both

import facula as torch

F = torch.nn.functional


def lengths(most, least, count):
    return torch.randint(least, most + 1, (count,))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(
    "steps,batch,classes,labels", [(12, 3, 5, 4), (40, 2, 20, 17), (5, 2, 4, 4), (6, 1, 3, 0)]
)
def test_the_loss_and_its_gradient(steps, batch, classes, labels, dtype):
    def build():
        x = torch.randn(steps, batch, classes, dtype=dtype)
        x[0, 0, 1] = -float("inf")
        x.requires_grad_()
        target = torch.randint(1, classes, (batch, labels))
        given, counted = lengths(steps, 0, batch), lengths(labels, 0, batch)
        torch.synchronize()
        loss = F.ctc_loss(x.log_softmax(2), target, given, counted, reduction="none")
        finite = torch.where(loss < 1e20, loss, 0.0)
        return loss.detach(), torch.autograd.grad(finite.sum(), x)[0]

    both(build, 1e-4 if dtype is torch.float32 else 1e-10, allowed=["index", "log_softmax"])


def test_other_layouts():
    def build():
        x = torch.randn(3, 9, 2, 6).select(-2, 1).permute(1, 0, 2)
        target = torch.randint(1, 6, (3, 4))
        torch.synchronize()
        return (F.ctc_loss(x, target, lengths(9, 8, 3), lengths(4, 0, 3), reduction="none"),)

    both(build)


@pytest.mark.usefixtures("tier")
def test_derivatives():
    torch.manual_seed(0)
    x = torch.randn(5, 2, 4, dtype=torch.float64, requires_grad=True)
    target, given = torch.tensor([[1, 2], [3, 3]]), torch.tensor([5, 4])

    def f(x):
        return F.ctc_loss(x.log_softmax(2), target, given, torch.tensor([2, 2]))

    assert torch.autograd.gradcheck(f, x)
    assert torch.autograd.gradgradcheck(f, x)
    rows = torch.func.vmap(f)(torch.stack([x.detach()] * 2))
    assert rows.tolist() == pytest.approx([f(x).item()] * 2)


@pytest.mark.usefixtures("tier")
def test_a_sequence_without_steps_fits_no_labels():
    x = torch.zeros(3, 2, 4).log_softmax(2)
    loss = F.ctc_loss(x, torch.ones(2, 2, dtype=torch.int64), (0, 0), (1, 0), reduction="none")
    assert loss.tolist() == [float("inf"), 0]
