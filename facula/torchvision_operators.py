"""The operators of torchvision's compiled part that are here in Python: `nms`.

torchvision loads its library with `torch.ops.load_library` and calls what is in it through
`torch.ops.torchvision`. The library itself is compiled against PyTorch's C++ interface, so these
take its place; an operator without a kernel raises NotImplementedError when it is called.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from facula.library import CustomOpDef

_WITHOUT_KERNEL = """
    roi_align roi_pool ps_roi_align ps_roi_pool deform_conv2d qnms qroi_align _roi_align_backward
    _roi_pool_backward _ps_roi_align_backward _ps_roi_pool_backward _deform_conv2d_backward
    box_iou_rotated
"""


def register() -> None:
    """Enter the operators under `torch.ops.torchvision`."""
    for name in _WITHOUT_KERNEL.split():
        CustomOpDef(f"torchvision::{name}")
    CustomOpDef("torchvision::nms", nms)
    CustomOpDef("torchvision::_cuda_version", lambda: -1)


def nms(dets: Any, scores: Any, iou_threshold: float) -> Any:
    """The boxes to keep, best score first: each drops the later ones that overlap it by more.

    Args:
        dets: boxes, N x 4, as (x1, y1, x2, y2).
        scores: one number for each box.
        iou_threshold: the share of their union that two boxes may have in common.
    """
    if dets.dim() != 2 or dets.shape[1] != 4:
        raise RuntimeError(f"nms(): boxes should be a 2d tensor N x 4, got {list(dets.shape)}")
    if scores.dim() != 1 or scores.shape[0] != dets.shape[0]:
        raise RuntimeError(
            f"nms(): boxes and scores should have the same number of elements in dimension 0, got "
            f"{list(dets.shape)} and {list(scores.shape)}"
        )
    from facula.ops.table import FUNCTIONS

    boxes = dets.detach().numpy()
    order = scores.detach().sort(descending=True, stable=True)[1].numpy()
    x1, y1, x2, y2 = boxes.T[:, order]
    areas = (x2 - x1) * (y2 - y1)
    dropped = np.zeros(len(order), bool)
    kept = []
    for i in range(len(order)):
        if dropped[i]:
            continue
        kept.append(order[i])
        rest = slice(i + 1, None)
        width = np.maximum(np.minimum(x2[i], x2[rest]) - np.maximum(x1[i], x1[rest]), 0)
        height = np.maximum(np.minimum(y2[i], y2[rest]) - np.maximum(y1[i], y1[rest]), 0)
        common = width * height
        with np.errstate(divide="ignore", invalid="ignore"):
            dropped[rest] |= common / (areas[i] + areas[rest] - common) > iou_threshold
    return FUNCTIONS["tensor"](np.array(kept, np.int64))
