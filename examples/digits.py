"""Learns to read handwritten digits: 1797 images of 8 x 8 pixels, which scikit-learn brings along.

facula run examples/digits.py
"""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, random_split
from tqdm import tqdm

EPOCHS = 20

torch.manual_seed(0)

images, labels = load_digits(return_X_y=True)
images = torch.tensor(images, dtype=torch.float32).reshape(-1, 1, 8, 8) / 16  # pixels are 0 to 16
train_set, test_set = random_split(TensorDataset(images, torch.tensor(labels)), [0.8, 0.2])
train_loader = DataLoader(train_set, batch_size=64, shuffle=True)
test_loader = DataLoader(test_set, batch_size=256)

model = nn.Sequential(
    nn.Flatten(),
    nn.Linear(64, 128),
    nn.ReLU(),
    nn.Dropout(0.2),
    nn.Linear(128, 64),
    nn.ReLU(),
    nn.Linear(64, 10),
)
loss_function = nn.CrossEntropyLoss()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)


def accuracy(loader):
    """The share of images that the model names correctly."""
    model.eval()
    correct = total = 0
    with torch.no_grad():
        for x, y in loader:
            correct += (model(x).argmax(dim=1) == y).sum().item()
            total += len(y)
    return correct / total


progress = tqdm(range(EPOCHS), desc="training", unit="epoch")
for _ in progress:
    model.train()
    losses = []
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.detach())
    progress.set_postfix(loss=f"{torch.stack(losses).mean().item():.4f}")

print(f"training accuracy: {accuracy(train_loader):.4f}")
print(f"test accuracy: {accuracy(test_loader):.4f}")
