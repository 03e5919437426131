"""Sine layers fitted to a function and its derivatives: gradients of gradients."""

import torch
from torch import nn


class SineLayer(nn.Module):
    def __init__(self, n_in, n_out, first=False, omega=30.0):
        super().__init__()
        self.omega = omega
        self.linear = nn.Linear(n_in, n_out)
        with torch.no_grad():
            bound = 1 / n_in if first else (6 / n_in) ** 0.5 / omega
            self.linear.weight.uniform_(-bound, bound)

    def forward(self, x):
        return torch.sin(self.omega * self.linear(x))


def gradient(y, x):
    return torch.autograd.grad(y, [x], grad_outputs=torch.ones_like(y), create_graph=True)[0]


def laplace(y, x):
    g = gradient(y, x)
    div = 0.0
    for i in range(g.shape[-1]):
        ones = torch.ones_like(g[..., i])
        div += torch.autograd.grad(g[..., i], x, ones, create_graph=True)[0][..., i : i + 1]
    return div


torch.manual_seed(0)
net = nn.Sequential(SineLayer(2, 16, first=True), SineLayer(16, 16), nn.Linear(16, 1))
optimizer = torch.optim.Adam(net.parameters(), lr=1e-4)
coords = torch.rand(50, 2) * 2 - 1
target = torch.sin(3 * coords[:, :1])
for step in range(8):
    x = coords.clone().detach().requires_grad_(True)
    y = net(x)
    loss = ((y - target) ** 2).mean() + 1e-3 * (gradient(y, x) ** 2).mean()
    loss = loss + 1e-6 * (laplace(y, x) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
