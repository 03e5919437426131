"""A residual network with batch normalisation: strides, shortcuts, momentum, cosine schedule."""

import torch
import torch.nn as nn
import torch.nn.functional as F


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(self, in_planes, planes, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_planes != planes:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_planes, planes, 1, stride=stride, bias=False), nn.BatchNorm2d(planes)
            )
        self.se = nn.Sequential(nn.Conv2d(planes, 2, 1), nn.SiLU(), nn.Conv2d(2, planes, 1))

    def forward(self, x):
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out = out * self.se(F.adaptive_avg_pool2d(out, 1)).sigmoid()
        out += self.shortcut(x)
        return F.relu(out)


class Depthwise(nn.Sequential):
    def __init__(self, planes):
        super().__init__(
            nn.Conv2d(planes, 2 * planes, 1, bias=False),
            nn.BatchNorm2d(2 * planes),
            nn.ReLU6(inplace=True),
            nn.Conv2d(2 * planes, 2 * planes, 3, padding=1, groups=2 * planes, bias=False),
            nn.BatchNorm2d(2 * planes),
            nn.ReLU6(inplace=True),
            nn.Conv2d(2 * planes, planes, 1, bias=False),
            nn.BatchNorm2d(planes),
        )


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8))
        self.layer1 = nn.Sequential(BasicBlock(8, 8), BasicBlock(8, 16, 2))
        self.layer2 = Depthwise(16)
        self.linear = nn.Linear(16, 10)

    def forward(self, x):
        out = self.layer1(F.relu(self.stem(x)))
        out = torch.cat([out[:, :8], self.layer2(out)[:, 8:]], 1)
        out = F.avg_pool2d(out, 4)
        return self.linear(out.view(out.size(0), -1))


torch.manual_seed(0)
net = Net()
for m in net.modules():
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
optimizer = torch.optim.SGD(
    net.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4, nesterov=True
)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=8)
x, y = torch.randn(32, 3, 8, 8), torch.randint(10, (32,))
for step in range(8):
    optimizer.zero_grad()
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)(net(x), y)
    loss.backward()
    optimizer.step()
    scheduler.step()
    print(step, loss.item(), scheduler.get_last_lr()[0])
net.eval()
with torch.no_grad():
    print(net(x).max(1)[1].eq(y).sum().item(), net.stem[1].running_mean.sum().item())
