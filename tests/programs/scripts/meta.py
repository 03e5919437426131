"""Learning to learn, and steps of a natural gradient: gradients by parameters, as vectors.

The second half saves the model as a whole and goes on with what was saved.
"""

import io

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.layers(x)


def task():
    x = 4 * torch.rand(10, 1) - 2
    return x, torch.sin(x + torch.rand(1)) * (1 + torch.rand(1))


def adapted(model, weights, x, y, create_graph=True):
    loss = F.mse_loss(functional_call(model, weights, (x,)), y)
    grads = torch.autograd.grad(loss, weights.values(), create_graph=create_graph)
    return {k: w - 0.1 * g for (k, w), g in zip(weights.items(), grads)}


def flat(grads):
    return torch.cat([g.view(-1) for g in grads])


def fisher_times(model, x, vector):
    mean = model(x)
    kl = ((mean - mean.detach()) ** 2).mean() / 2
    grads = flat(torch.autograd.grad(kl, model.parameters(), create_graph=True))
    return flat(torch.autograd.grad(grads @ vector, model.parameters())) + 0.1 * vector


def solve(product, b, steps=5):
    x, r = torch.zeros_like(b), b.clone()
    p, rr = r.clone(), r @ r
    for _ in range(steps):
        ap = product(p)
        alpha = rr / (p @ ap)
        x, r = x + alpha * p, r - alpha * ap
        new = r @ r
        p, rr = r + new / rr * p, new
    return x


torch.manual_seed(0)
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
for _ in range(10):
    loss = 0.0
    for _ in range(3):
        x, y = task()
        weights = dict(model.named_parameters())
        for _ in range(2):
            weights = adapted(model, weights, x[:5], y[:5])
        loss = loss + F.mse_loss(functional_call(model, weights, (x[5:],)), y[5:]) / 3
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

file = io.BytesIO()
torch.save(model, file)
file.seek(0)
model = torch.load(file, weights_only=False)
x, y = task()
for _ in range(10):
    loss = F.mse_loss(model(x), y)
    loss.backward()
    b = flat(p.grad for p in model.parameters())
    step = solve(lambda v: fisher_times(model, x, v), b)
    at = 0
    for p in model.parameters():
        p.data.sub_(0.5 * step[at : at + p.numel()].view_as(p))
        p.grad, at = None, at + p.numel()
    print(f"{loss.item():.6f} {step.norm().item():.5f}")
