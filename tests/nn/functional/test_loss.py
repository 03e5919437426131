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
