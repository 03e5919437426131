"""Policy gradients on a small world of its own: sampled actions, returns, a baseline."""

from collections import deque

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.distributions import Categorical, Normal, kl_divergence


class Walk:
    """Keep a point near zero by pushing it left or right."""

    def reset(self):
        self.x, self.v, self.t = 0.3, 0.0, 0
        return [self.x, self.v]

    def step(self, action):
        self.v += 0.1 if action == 1 else -0.1
        self.x += self.v
        self.t += 1
        return [self.x, self.v], 1.0 - abs(self.x), abs(self.x) > 1.5 or self.t == 12


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(2, 16)
        self.action_head = nn.Linear(16, 2)
        self.value_head = nn.Linear(16, 1)

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)


torch.manual_seed(543)
policy = Policy()
optimizer = torch.optim.Adam(policy.parameters(), lr=3e-2)
eps = torch.finfo(torch.float32).eps
world = Walk()
for episode in range(8):
    state, saved, rewards, done = world.reset(), [], [], False
    while not done:
        probs, value = policy(torch.tensor(state).float())
        m = Categorical(probs)
        action = m.sample()
        saved.append((m.log_prob(action), value, m.entropy()))
        state, reward, done = world.step(action.item())
        rewards.append(reward)
    returns = deque()
    R = 0.0
    for r in rewards[::-1]:
        R = r + 0.99 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + eps)
    policy_losses, value_losses = [], []
    for (log_prob, value, _), R in zip(saved, returns):
        policy_losses.append(-log_prob * (R - value.item()))
        value_losses.append(F.smooth_l1_loss(value, R.reshape(1)))
    optimizer.zero_grad()
    bonus = torch.stack([s[2] for s in saved]).mean()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum() - 0.01 * bonus
    loss.backward()
    optimizer.step()
    print(episode, len(rewards), round(sum(rewards), 6) + 0.0, loss.item())
print(kl_divergence(Normal(torch.zeros(2), 1.0), Normal(torch.ones(2), 2.0)).tolist())
