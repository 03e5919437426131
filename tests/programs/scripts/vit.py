"""A vision transformer: patches by a strided convolution, a class token, warm-up, mixed labels."""

import math

import torch
from torch import nn

torch.manual_seed(0)


class Block(nn.Module):
    def __init__(self, width, heads, drop):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Dropout(drop), nn.Linear(2 * width, width)
        )
        self.scale = nn.Parameter(torch.full((width,), 0.1))

    def forward(self, x):
        h = self.norm1(x)
        x = x + self.attention(h, h, h, need_weights=False)[0]
        return x + self.scale * self.mlp(self.norm2(x))


class ViT(nn.Module):
    def __init__(self, side=16, patch=4, width=32, depth=2, heads=4, classes=5):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, (side // patch) ** 2 + 1, width) * 0.02)
        self.blocks = nn.ModuleList([Block(width, heads, 0.0) for _ in range(depth)])
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, classes)
        nn.init.trunc_normal_(self.token, std=0.02)
        nn.init.zeros_(self.head.weight)

    def forward(self, images):
        x = self.patches(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], dim=1) + self.places
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 0])


def pictures(count, classes=5):
    """Stripes whose direction tells the class, in any colour and on noise."""
    labels = torch.randint(0, classes, (count,))
    angle = labels * math.pi / classes
    y, x = torch.meshgrid(torch.linspace(-3, 3, 16), torch.linspace(-3, 3, 16), indexing="ij")
    way = x * angle.cos()[:, None, None] + y * angle.sin()[:, None, None]
    stripes = torch.sin(3 * way + torch.rand(count, 1, 1) * 6)
    coloured = stripes[:, None] * torch.rand(count, 3, 1, 1)
    return coloured + 0.1 * torch.randn(count, 3, 16, 16), labels


model = ViT()
decay = [p for p in model.parameters() if p.ndim > 1]
other = [p for p in model.parameters() if p.ndim <= 1]
groups = [{"params": decay, "weight_decay": 0.05}, {"params": other, "weight_decay": 0.0}]
optimizer = torch.optim.AdamW(groups, lr=3e-3, betas=(0.9, 0.95))
schedule = torch.optim.lr_scheduler.SequentialLR(
    optimizer,
    [
        torch.optim.lr_scheduler.LinearLR(optimizer, 0.1, total_iters=5),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 35),
    ],
    milestones=[5],
)
loss_function = nn.CrossEntropyLoss(label_smoothing=0.1)
for step in range(40):
    images, labels = pictures(32)
    part = torch.rand(()).item()
    other_way = torch.randperm(len(images))
    mixed = part * images + (1 - part) * images[other_way]
    out = model(mixed)
    loss = part * loss_function(out, labels) + (1 - part) * loss_function(out, labels[other_way])
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    schedule.step()
    if step % 10 == 9:
        print(step + 1, f"{loss.item():.4f}", f"{optimizer.param_groups[0]['lr']:.6f}")

model.eval()
with torch.no_grad():
    images, labels = pictures(128)
    out = model(images)
    print(f"{nn.functional.cross_entropy(out, labels).item():.4f}")
