"""Schedules of the learning rate.

| file | schedules |
|---|---|
| `base` | `LRScheduler`, what all have in common |
| `factors` | a factor a step: lambdas, steps, constant, linear, exponential, polynomial |
| `cosine` | cosine annealing, with and without restarts |
| `cycles` | `CyclicLR`, `OneCycleLR` |
| `composed` | `ChainedScheduler`, `SequentialLR` |
| `plateau` | `ReduceLROnPlateau` |

Source: https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate
"""

from facula.errors import honest, honest_parts
from facula.optim.lr_scheduler.base import EPOCH_DEPRECATION_WARNING, LRScheduler, _LRScheduler
from facula.optim.lr_scheduler.composed import ChainedScheduler, SequentialLR
from facula.optim.lr_scheduler.cosine import CosineAnnealingLR, CosineAnnealingWarmRestarts
from facula.optim.lr_scheduler.cycles import CyclicLR, OneCycleLR
from facula.optim.lr_scheduler.factors import (
    ConstantLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from facula.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "EPOCH_DEPRECATION_WARNING",
    "ExponentialLR",
    "LRScheduler",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "SequentialLR",
    "StepLR",
    "_LRScheduler",
]


__getattr__ = honest(__name__)
honest_parts(__name__)
