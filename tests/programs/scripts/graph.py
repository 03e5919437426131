"""A graph network on a ring with chords: normalised adjacency, masks, early stopping."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn


class GraphConv(nn.Module):
    def __init__(self, input_dim, output_dim):
        super().__init__()
        self.kernel = nn.Parameter(torch.Tensor(input_dim, output_dim))
        nn.init.xavier_normal_(self.kernel)
        self.bias = nn.Parameter(torch.Tensor(output_dim))
        nn.init.zeros_(self.bias)

    def forward(self, x, adj):
        return torch.mm(adj, torch.mm(x, self.kernel)) + self.bias


class GAT(nn.Module):
    def __init__(self, n_in, n_out):
        super().__init__()
        self.W = nn.Parameter(torch.empty(n_in, n_out))
        self.a = nn.Parameter(torch.empty(2 * n_out, 1))
        for p in (self.W, self.a):
            nn.init.xavier_uniform_(p.data, gain=1.414)

    def forward(self, h, adj):
        Wh = torch.mm(h, self.W)
        n = Wh.shape[1]
        e = F.leaky_relu(Wh @ self.a[:n] + (Wh @ self.a[n:]).T, 0.2)
        attention = torch.where(adj > 0, e, -9e15 * torch.ones_like(e))
        return F.elu(torch.matmul(F.softmax(attention, dim=1), Wh))


np.random.seed(0)
torch.manual_seed(0)
N = 40
features = torch.FloatTensor(np.random.rand(N, 12).astype(np.float32))
labels = torch.LongTensor(np.arange(N) // 10)
adj = torch.eye(N)
for i in range(N):
    for j in ((i + 1) % N, int(np.random.randint(N))):
        adj[i, j] = adj[j, i] = 1.0
scale = torch.diag(adj.sum(1).pow(-0.5))
normal = scale @ adj @ scale
order = torch.randperm(N)
train, val = order[:24], order[24:]
first, second = GraphConv(12, 8), GAT(8, 4)
optimizer = torch.optim.Adam(
    [*first.parameters(), *second.parameters()], lr=0.02, weight_decay=5e-4
)
criterion = nn.NLLLoss()
for epoch in range(10):
    optimizer.zero_grad()
    output = F.log_softmax(second(F.relu(first(features, normal)), adj), dim=1)
    loss = criterion(output[train], labels[train])
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        correct = output[val].argmax(1).eq(labels[val]).sum().item()
    print(epoch, loss.item(), criterion(output[val], labels[val]).item(), correct)
