"""Losses of pairs."""

from nn.stored import agrees


@agrees
def test_margin_ranking_loss_of_whole_numbers(torch):
    loss = torch.nn.functional.margin_ranking_loss
    a, b = torch.tensor([5, 1, 6, 5]), torch.tensor([4, 2, 5, 9])
    sign = torch.tensor([3, 1, -4, 2])
    kinds = (torch.uint8, torch.int64)
    return {
        str(kind): [
            loss(a.to(kind), b.to(kind), sign.to(kind), m, reduction="none") for m in (0, 2)
        ]
        for kind in kinds
    }


@agrees
def test_targets_of_other_dtypes(torch):
    F = torch.nn.functional
    x, yes = torch.tensor([0.5, 1.0, 2.0], requires_grad=True), torch.tensor([True, False, True])
    losses = {}
    for loss in (F.mse_loss, F.smooth_l1_loss):
        for target in (yes, torch.ones(3, dtype=torch.float16)):
            y = loss(x, target)
            losses[f"{loss.__name__} {target.dtype}"] = [
                y, str(y.dtype).split(".")[-1], torch.autograd.grad(y, x)
            ]  # fmt: skip
    return losses
