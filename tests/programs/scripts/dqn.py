"""Q-learning: a replay memory, a target network that follows slowly, an action by chance."""

import random
from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(1)
np.random.seed(1)
torch.manual_seed(1)
torch.backends.cudnn.deterministic = True


class QNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(
            nn.Linear(3, 24), nn.ReLU(), nn.Linear(24, 16), nn.ReLU(), nn.Linear(16, 2)
        )

    def forward(self, x):
        return self.network(x)


device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
q_network = QNetwork().to(device)
target_network = QNetwork().to(device)
target_network.load_state_dict(q_network.state_dict())
optimizer = torch.optim.Adam(q_network.parameters(), lr=1e-2)
memory = deque(maxlen=64)
obs = np.zeros(3, dtype=np.float32)
for step in range(60):
    if random.random() < max(0.1, 1 - step / 40):
        action = random.randrange(2)
    else:
        action = torch.argmax(q_network(torch.Tensor(obs).to(device)), dim=0).cpu().numpy().item()
    new = np.clip(obs + (0.1 if action else -0.1) * np.random.rand(3), -1, 1).astype(np.float32)
    memory.append((obs, action, float(-abs(new.sum())), new, float(step % 20 == 19)))
    obs = np.zeros(3, dtype=np.float32) if step % 20 == 19 else new
    if step >= 24 and step % 3 == 0:
        batch = random.sample(memory, 16)
        o, a, r, n, d = (torch.tensor(np.array(c)).to(device) for c in zip(*batch))
        with torch.no_grad():
            target_max, _ = target_network(n).max(dim=1)
            td_target = r.flatten().float() + 0.99 * target_max * (1 - d.flatten().float())
        old_val = q_network(o).gather(1, a.view(-1, 1)).squeeze()
        loss = F.mse_loss(td_target, old_val)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(step, loss.item(), old_val.mean().item())
        for t, q in zip(target_network.parameters(), q_network.parameters()):
            t.data.copy_(0.1 * q.data + 0.9 * t.data)
