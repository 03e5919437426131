"""Every optimiser on one small problem, then schedules, groups, and a start from a saved state."""

import copy
import io

import torch
from torch import nn, optim

torch.manual_seed(0)
x = torch.randn(64, 5)
y = torch.tanh(x @ torch.randn(5, 3)) + 0.05 * torch.randn(64, 3)
start = nn.Sequential(nn.Linear(5, 16), nn.Tanh(), nn.Linear(16, 3))

ZOO = {
    "SGD": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "Adam": lambda p: optim.Adam(p, lr=1e-2),
    "AMSGrad": lambda p: optim.Adam(p, lr=1e-2, amsgrad=True),
    "AdamW": lambda p: optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "NAdam": lambda p: optim.NAdam(p, lr=1e-2),
    "RAdam": lambda p: optim.RAdam(p, lr=1e-2),
    "Adamax": lambda p: optim.Adamax(p, lr=1e-2),
    "Adagrad": lambda p: optim.Adagrad(p, lr=5e-2),
    "Adadelta": lambda p: optim.Adadelta(p, lr=1.0),
    "RMSprop": lambda p: optim.RMSprop(p, lr=5e-3, centered=True, momentum=0.5),
    "Rprop": lambda p: optim.Rprop(p, lr=1e-3),
    "ASGD": lambda p: optim.ASGD(p, lr=0.1, t0=5),
    "Adafactor": lambda p: optim.Adafactor(p, lr=2e-2),
    "LBFGS": lambda p: optim.LBFGS(p, lr=0.5, max_iter=4, line_search_fn="strong_wolfe"),
}


def train(model, optimizer, steps, schedule=None):
    """Some steps; the last loss."""

    def closure():
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        return loss

    for _ in range(steps):
        loss = optimizer.step(closure)
        if schedule is not None:
            schedule.step()
    return loss.item()


for name, make in ZOO.items():
    model = copy.deepcopy(start)
    print(name, f"{train(model, make(model.parameters()), 12):.5f}")

model = copy.deepcopy(start)
groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.2}]
optimizer = optim.SGD(groups, lr=0.05, momentum=0.8)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, [0.2, 0.3], total_steps=30)
print("groups", f"{train(model, optimizer, 15, schedule):.5f}")
file = io.BytesIO()
kept = {"model": model, "optimizer": optimizer, "schedule": schedule}
torch.save({name: part.state_dict() for name, part in kept.items()}, file)
print("went on", f"{train(model, optimizer, 15, schedule):.5f}")

model = copy.deepcopy(start)
groups = [{"params": model[0].parameters()}, {"params": model[2].parameters(), "lr": 0.2}]
optimizer = optim.SGD(groups, lr=0.05, momentum=0.8)
schedule = optim.lr_scheduler.OneCycleLR(optimizer, [0.2, 0.3], total_steps=30)
file.seek(0)
state = torch.load(file)
for name, part in {"model": model, "optimizer": optimizer, "schedule": schedule}.items():
    part.load_state_dict(state[name])
print("again", f"{train(model, optimizer, 15, schedule):.5f}")
