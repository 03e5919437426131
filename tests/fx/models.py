"""Programs that tests of `fx` trace, made for the framework that they are given."""

import math


def block(torch):
    """A module with submodules, a parameter, a buffer, and most kinds of calls."""
    F = torch.nn.functional

    class Block(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = torch.nn.Linear(4, 5)
            self.seq = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.Linear(5, 5))
            self.p = torch.nn.Parameter(torch.ones(5))
            self.register_buffer("b", torch.zeros(5))

        def forward(self, x, y=None, *, k: int = 3):
            z = self.seq(self.lin(x)) + self.p + self.b
            z = z.view(z.size(0), -1).relu()
            z = F.dropout(F.relu(z), 0.1, training=self.training)
            a, b = z.split(2, dim=0)
            c = torch.cat([a, b], dim=-1)[..., None, 1:k]
            e = 2.0 - (-c) ** 2 / 3
            f = e.T @ e
            f += 1
            g = math.sqrt(f.shape[0])
            m = torch.zeros((f.shape[0], 3))
            return {"a": f, "b": (g, [m], F.linear(f, self.p)), "c": torch.float32}

    return Block()


def network(torch):
    """Convolutions with batch normalisation, dropout, and a module that is used twice."""

    class Network(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = torch.nn.Conv2d(2, 3, 3, padding=1)
            self.norm = torch.nn.BatchNorm2d(3)
            self.again = torch.nn.Conv2d(3, 3, 1)
            self.drop = torch.nn.Dropout(0.5)
            self.heads = torch.nn.ModuleList([torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)])

        def forward(self, x):
            x = torch.relu(self.norm(self.conv(x)))
            x = self.drop(self.again(self.again(x))).mean((2, 3))
            return self.heads[0](x) + self.heads[1](x)

    return Network()
