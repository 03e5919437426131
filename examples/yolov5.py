"""Starts a program of YOLOv5 with its classes allowed in checkpoints: see yolov5.md.

facula run PATH/yolov5.py train.py --img 640 ...      # in YOLOv5's folder

A checkpoint of YOLOv5 v7.0 is the pickled model. `torch.load` reads such a file only if its classes
have been allowed, as PyTorch's does since 2.6, which is newer than v7.0.
"""

import runpy
import sys

import torch

sys.path.insert(0, "")
from models import common, yolo
from torch import nn

modules = [common, yolo, nn]
found = [value for module in modules for value in vars(module).values()]
torch.serialization.add_safe_globals(
    [c for c in found if isinstance(c, type) and issubclass(c, nn.Module)]
)
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
