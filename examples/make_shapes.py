"""Squares and discs on noise: 64 images to train with and 16 to check with, in YOLO's layout."""

import random
from pathlib import Path

from PIL import Image, ImageDraw

SIZE = 128
random.seed(0)
for part, count in (("train", 64), ("val", 16)):
    for kind in ("images", "labels"):
        Path("shapes", kind, part).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image = Image.effect_noise((SIZE, SIZE), 40).convert("RGB")
        draw, lines = ImageDraw.Draw(image), []
        for _ in range(random.randint(1, 3)):
            side = random.randint(24, 48)
            x, y = random.randint(0, SIZE - side), random.randint(0, SIZE - side)
            label = random.randint(0, 1)
            paint = draw.ellipse if label else draw.rectangle
            paint((x, y, x + side, y + side), fill=(220, 60, 60) if label else (60, 60, 220))
            box = [(x + side / 2) / SIZE, (y + side / 2) / SIZE, side / SIZE, side / SIZE]
            lines.append(f"{label} " + " ".join(f"{v:.5f}" for v in box))
        image.save(f"shapes/images/{part}/{i}.png")
        Path("shapes", "labels", part, f"{i}.txt").write_text("\n".join(lines) + "\n")
Path("shapes.yaml").write_text(
    "path: shapes\ntrain: images/train\nval: images/val\nnames:\n  0: square\n  1: disc\n"
)
