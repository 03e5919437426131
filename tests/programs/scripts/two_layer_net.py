"""A network of two matrix products, in the five ways of the classic series of examples."""

import torch
from torch import nn


class Rectify(torch.autograd.Function):
    """A function with its derivative."""

    @staticmethod
    def forward(ctx, input):
        ctx.save_for_backward(input)
        return input.clamp(min=0)

    @staticmethod
    def backward(ctx, grad_output):
        (input,) = ctx.saved_tensors
        grad_input = grad_output.clone()
        grad_input[input < 0] = 0
        return grad_input


class Dynamic(nn.Module):
    """Applies its middle layer a number of times that changes from step to step."""

    def __init__(self, d_in, hidden, d_out):
        super().__init__()
        self.first = nn.Linear(d_in, hidden)
        self.middle = nn.Linear(hidden, hidden)
        self.last = nn.Linear(hidden, d_out)

    def forward(self, x, times):
        h = self.first(x).clamp(min=0)
        for _ in range(times):
            h = self.middle(h).clamp(min=0)
        return self.last(h)


torch.manual_seed(0)
x, y = torch.randn(16, 50), torch.randn(16, 5)

w1, w2 = torch.randn(50, 20), torch.randn(20, 5)
for t in range(6):
    h = x.mm(w1)
    h_relu = h.clamp(min=0)
    y_pred = h_relu.mm(w2)
    print(t, (y_pred - y).pow(2).sum().item())
    grad_y_pred = 2.0 * (y_pred - y)
    grad_w2 = h_relu.t().mm(grad_y_pred)
    grad_h = grad_y_pred.mm(w2.t()).clone()
    grad_h[h < 0] = 0
    w1 -= 1e-5 * x.t().mm(grad_h)
    w2 -= 1e-5 * grad_w2

w1 = torch.randn(50, 20, requires_grad=True)
w2 = torch.randn(20, 5, requires_grad=True)
for t in range(6):
    loss = (Rectify.apply(x.mm(w1)).mm(w2) - y).pow(2).sum()
    print(t, loss.item())
    loss.backward()
    with torch.no_grad():
        w1 -= 1e-5 * w1.grad
        w2 -= 1e-5 * w2.grad
        w1.grad.zero_()
        w2.grad.zero_()

model = nn.Sequential(nn.Linear(50, 20), nn.ReLU(), nn.Linear(20, 5))
loss_fn = nn.MSELoss(reduction="sum")
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
for t in range(6):
    loss = loss_fn(model(x), y)
    print(t, loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()

model = Dynamic(50, 20, 5)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
for t in range(6):
    loss = loss_fn(model(x, t % 4), y)
    print(t, loss.item())
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
