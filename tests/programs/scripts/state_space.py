"""A selective state space model: a causal convolution, a scan in time, RMS norm, tied weights."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class Mixer(nn.Module):
    def __init__(self, d, n=4):
        super().__init__()
        self.in_proj = nn.Linear(d, 2 * d, bias=False)
        self.conv1d = nn.Conv1d(d, d, 3, groups=d, padding=2)
        self.x_proj = nn.Linear(d, 2 + 2 * n, bias=False)
        self.dt_proj = nn.Linear(2, d)
        self.A_log = nn.Parameter(torch.log(torch.arange(1, n + 1).repeat(d, 1)))
        self.D = nn.Parameter(torch.ones(d))
        self.out_proj = nn.Linear(d, d, bias=False)
        self.n = n

    def forward(self, x):
        _b, length, d = x.shape
        x, res = self.in_proj(x).split(split_size=[d, d], dim=-1)
        x = self.conv1d(x.transpose(1, 2))[:, :, :length].transpose(1, 2)
        return self.out_proj(self.ssm(F.silu(x)) * F.silu(res))

    def ssm(self, u):
        A = -torch.exp(self.A_log.float())
        delta, B, C = self.x_proj(u).split(split_size=[2, self.n, self.n], dim=-1)
        delta = F.softplus(self.dt_proj(delta))
        deltaA = torch.exp(torch.einsum("bld,dn->bldn", delta, A))
        deltaB_u = torch.einsum("bld,bln,bld->bldn", delta, B, u)
        state = torch.zeros(u.size(0), u.size(2), self.n)
        ys = []
        for i in range(u.size(1)):
            state = deltaA[:, i] * state + deltaB_u[:, i]
            ys.append(torch.einsum("bdn,bn->bd", state, C[:, i]))
        return torch.stack(ys, dim=1) + u * self.D


class RMSNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * self.weight


torch.manual_seed(0)
embedding = nn.Embedding(20, 8)
layers = nn.ModuleList([nn.ModuleList([RMSNorm(8), Mixer(8)]) for _ in range(2)])
norm, head = RMSNorm(8), nn.Linear(8, 20, bias=False)
head.weight = embedding.weight
everything = nn.ModuleList([embedding, layers, norm, head])
optimizer = torch.optim.AdamW(everything.parameters(), lr=1e-2)
tokens = torch.randint(20, (4, 12))
for step in range(8):
    x = embedding(tokens)
    for norm_i, mixer in layers:
        x = mixer(norm_i(x)) + x
    logits = head(norm(x))
    loss = F.cross_entropy(logits[:, :-1].reshape(-1, 20), tokens[:, 1:].reshape(-1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    print(step, loss.item())
