"""A network that grows and shrinks while it learns, its optimiser's memory included.

facula run examples/growing_net.py

It learns a curve. A hidden unit is a row of the first layer and a column of the second one;
`resize` adds and takes away units, and Adam's running averages of the units that stay go with them.
Nothing has to be said to Facula about it: a training step is compiled once for each size, and when
a size comes back its program is there (`facula explain examples/growing_net.py` prints each program
once).
"""

import torch
from torch import nn

STEPS = 300
SIZES = (8, 32, 64, 32, 64)

torch.manual_seed(0)

x = torch.linspace(-1, 1, 256).unsqueeze(1)
y = torch.sin(8 * x) * torch.exp(-x * x) + 0.5 * x

first, second = nn.Linear(1, SIZES[0]), nn.Linear(SIZES[0], 1)
model = nn.Sequential(first, nn.Tanh(), second)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)


def change(layer, name, dim, keep, added):
    """Keep some slices of a parameter and add new ones, in the optimiser's state as well."""
    old = getattr(layer, name)

    def changed(tensor, new):
        return torch.cat([tensor.index_select(dim, keep), new.to(tensor.dtype)], dim)

    new = nn.Parameter(changed(old.detach(), added))
    setattr(layer, name, new)
    state = optimizer.state.pop(old, {})
    for key, value in state.items():
        if value.shape == old.shape:  # an average for each number; the count of steps is not
            state[key] = changed(value, torch.zeros_like(added))
    optimizer.state[new] = state
    for group in optimizer.param_groups:
        group["params"] = [new if p is old else p for p in group["params"]]


def resize(size):
    """Give the hidden layer this size: drop the units that matter least, or add new ones."""
    old = first.out_features
    more = max(size - old, 0)
    matters = second.weight.detach().norm(dim=0) * first.weight.detach().norm(dim=1)
    keep = matters.topk(min(size, old)).indices.sort().values
    scale = 2.0  # as steep as the units that have been learning for a while
    change(first, "weight", 0, keep, scale * torch.randn(more, first.in_features))
    change(first, "bias", 0, keep, scale * torch.randn(more))
    # New units begin without a say, so that the network goes on computing what it did.
    change(second, "weight", 1, keep, torch.zeros(second.out_features, more))
    first.out_features = second.in_features = size


def loss_now():
    with torch.no_grad():
        return nn.functional.mse_loss(model(x), y).item()


for size in SIZES:
    before = loss_now()
    resize(size)
    after = loss_now()
    for _ in range(STEPS):
        loss = nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(
        f"{size:3} hidden units: loss {before:.5f}, resized {after:.5f}, trained {loss_now():.5f}"
    )
