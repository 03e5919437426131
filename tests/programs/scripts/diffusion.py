"""Denoising diffusion: a schedule in buffers, a time embedding, group norm, sampling."""

import math

import torch
import torch.nn.functional as F
from torch import nn


def extract(a, t, x_shape):
    out = a.gather(-1, t)
    return out.reshape(t.shape[0], *((1,) * (len(x_shape) - 1)))


class Unet(nn.Module):
    def __init__(self):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Linear(16, 16))
        self.down = nn.Conv2d(1, 8, 3, padding=1)
        self.norm = nn.GroupNorm(4, 8)
        self.mid = nn.Conv2d(8, 8, 4, 2, 1)
        self.up = nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), nn.Conv2d(8, 8, 1))
        self.out = nn.Conv2d(16, 1, 1)

    def forward(self, x, t):
        freqs = torch.exp(torch.arange(4) * -(math.log(10000) / 3))
        angles = t[:, None] * freqs[None, :]
        emb = self.time(torch.cat((angles.sin(), angles.cos()), dim=-1))
        scale, shift = emb[:, :, None, None].chunk(2, dim=1)
        h = F.silu(self.norm(self.down(x)) * (scale + 1) + shift)
        return self.out(torch.cat((self.up(self.mid(h)), h), dim=1))


class Diffusion(nn.Module):
    def __init__(self, model, timesteps=20):
        super().__init__()
        self.model, self.timesteps = model, timesteps
        betas = torch.linspace(1e-3, 0.2, timesteps, dtype=torch.float64)
        alphas = torch.cumprod(1.0 - betas, dim=0)
        previous = F.pad(alphas[:-1], (1, 0), value=1.0)
        for name, value in {
            "betas": betas,
            "sqrt_alphas": torch.sqrt(alphas),
            "sqrt_rest": torch.sqrt(1.0 - alphas),
            "variance": betas * (1.0 - previous) / (1.0 - alphas),
        }.items():
            self.register_buffer(name, value.to(torch.float32))

    def forward(self, x):
        t = torch.randint(0, self.timesteps, (x.shape[0],)).long()
        noise = torch.randn_like(x)
        a, b = extract(self.sqrt_alphas, t, x.shape), extract(self.sqrt_rest, t, x.shape)
        return F.mse_loss(self.model(a * x + b * noise, t), noise)

    @torch.inference_mode()
    def sample(self, shape):
        x = torch.randn(shape)
        for i in reversed(range(self.timesteps)):
            t = torch.full((shape[0],), i, dtype=torch.long)
            b, v = extract(self.betas, t, shape), extract(self.variance, t, shape)
            noise = self.model(x, t)
            x = (x - b * noise / extract(self.sqrt_rest, t, shape)) / (1 - b).sqrt()
            x = x + (v.sqrt() * torch.randn_like(x) if i else 0)
            x = x.clamp(-2, 2)
        return x


torch.manual_seed(0)
diffusion = Diffusion(Unet())
optimizer = torch.optim.Adam(diffusion.parameters(), lr=1e-3)
images = torch.rand(8, 1, 8, 8) * 2 - 1
for step in range(8):
    optimizer.zero_grad()
    loss = diffusion(images)
    loss.backward()
    optimizer.step()
    print(step, loss.item())
print(diffusion.sample((2, 1, 8, 8)).mean().item())
