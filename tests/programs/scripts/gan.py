"""A generator and a discriminator, trained in turn, with transposed convolutions."""

import torch
import torch.nn as nn


def weights_init(m):
    name = m.__class__.__name__
    if name.find("Conv") != -1:
        torch.nn.init.normal_(m.weight, 0.0, 0.02)
    elif name.find("BatchNorm") != -1:
        torch.nn.init.normal_(m.weight, 1.0, 0.02)
        torch.nn.init.zeros_(m.bias)


torch.manual_seed(2)
G = nn.Sequential(
    nn.ConvTranspose2d(8, 16, 4, 1, 0, bias=False),
    nn.BatchNorm2d(16),
    nn.ReLU(True),
    nn.ConvTranspose2d(16, 1, 4, 2, 1, bias=False),
    nn.Tanh(),
)
D = nn.Sequential(
    nn.Conv2d(1, 8, 4, 2, 1, bias=False),
    nn.LeakyReLU(0.2, inplace=True),
    nn.Conv2d(8, 1, 4, 1, 0, bias=False),
    nn.Sigmoid(),
    nn.Flatten(),
)
G.apply(weights_init)
D.apply(weights_init)
criterion = nn.BCELoss()
opt_d = torch.optim.Adam(D.parameters(), lr=2e-3, betas=(0.5, 0.999))
opt_g = torch.optim.Adam(G.parameters(), lr=2e-3, betas=(0.5, 0.999))
real_label, fake_label = 1.0, 0.0
for step in range(6):
    D.zero_grad()
    real = torch.rand(8, 1, 8, 8)
    label = torch.full((8,), real_label)
    err_real = criterion(D(real).view(-1), label)
    err_real.backward()
    fake = G(torch.randn(8, 8, 1, 1))
    label.fill_(fake_label)
    err_fake = criterion(D(fake.detach()).view(-1), label)
    err_fake.backward()
    opt_d.step()
    G.zero_grad()
    label.fill_(real_label)
    err_g = criterion(D(fake).view(-1), label)
    err_g.backward()
    opt_g.step()
    print(step, (err_real + err_fake).item(), err_g.item(), fake.mean().item())
