"""Optimisers; learning-rate schedules are in `lr_scheduler`, weight averaging in `swa_utils`.

Source: https://pytorch.org/docs/stable/optim.html
"""

from facula.errors import honest, honest_parts
from facula.optim import lr_scheduler, swa_utils
from facula.optim.adadelta import Adadelta
from facula.optim.adafactor import Adafactor
from facula.optim.adagrad import Adagrad
from facula.optim.adam import Adam
from facula.optim.adamax import Adamax
from facula.optim.adamw import AdamW
from facula.optim.asgd import ASGD
from facula.optim.lbfgs import LBFGS
from facula.optim.muon import Muon
from facula.optim.nadam import NAdam
from facula.optim.optimizer import Optimizer
from facula.optim.radam import RAdam
from facula.optim.rmsprop import RMSprop
from facula.optim.rprop import Rprop
from facula.optim.sgd import SGD
from facula.optim.sparse_adam import SparseAdam
from facula.optim.swap import swap_in_optimizer_params_and_state

__all__ = [
    "ASGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "LBFGS",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SGD",
    "SparseAdam",
    "lr_scheduler",
    "swap_in_optimizer_params_and_state",
    "swa_utils",
]


__getattr__ = honest(__name__)
honest_parts(__name__)
