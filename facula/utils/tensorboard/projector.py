"""Files of TensorBoard's projector: vectors, their labels, and their pictures in one sheet."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from facula.utils.tensorboard import events


def write(
    folder: str,
    vectors: np.ndarray,
    labels: Any,
    columns: Any,
    pictures: np.ndarray | None,
    step: int,
    tag: str,
) -> str:
    """Write one set of vectors to its own folder; its entry in `projector_config.pbtxt`.

    Args:
        folder: where the writer's event files are.
        vectors: of shape (N, D).
        labels: N texts, or N lists of them; None without labels.
        columns: the labels' headings, where they are lists.
        pictures: of shape (N, height, width, 3), uint8; None without pictures.
    """
    name = f"{step:05d}/" + "".join([f"%{ord(c):02x}" if c in "%/\\" else c for c in tag])
    own = Path(folder, name)
    own.mkdir(parents=True, exist_ok=True)
    if vectors.ndim != 2:
        raise AssertionError("mat should be 2D, where mat.size(0) is the number of data points")
    entry = [f'tensor_name: "{tag}:{step:05d}"', f'tensor_path: "{name}/tensors.tsv"']
    _lines(own / "tensors.tsv", ["\t".join([str(x) for x in row]) for row in vectors.tolist()])
    if labels is not None:
        if len(labels) != len(vectors):
            raise AssertionError("#labels should equal with #data points")
        rows = [str(x) for x in labels]
        if columns:
            if len(columns) != len(labels[0]):
                raise AssertionError("len of header must be equal to the number of columns")
            rows = ["\t".join([str(x) for x in row]) for row in [columns, *labels]]
        _lines(own / "metadata.tsv", rows)
        entry.append(f'metadata_path: "{name}/metadata.tsv"')
    if pictures is not None:
        if len(pictures) != len(vectors):
            raise AssertionError("#images should equal with #data points")
        n, height, width, _ = pictures.shape
        side = math.ceil(math.sqrt(n))
        sheet = np.zeros((side * height, side * width, 3), np.uint8)
        for i, picture in enumerate(pictures):
            y, x = divmod(i, side)
            sheet[y * height : (y + 1) * height, x * width : (x + 1) * width] = picture
        (own / "sprite.png").write_bytes(events.png(sheet))
        size = f"single_image_dim: {width} single_image_dim: {height}"
        entry.append(f'sprite {{ image_path: "{name}/sprite.png" {size} }}')
    return "embeddings {\n" + "".join([f"  {line}\n" for line in entry]) + "}\n"


def _lines(path: Path, rows: list[str]) -> None:
    with open(path, "w", encoding="utf-8", newline="\n") as f:
        f.write("\n".join([*rows, ""]))
