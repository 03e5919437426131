"""Whole models in files: made again with `weights_only=False`, and nothing else is."""

from __future__ import annotations

import argparse
import io
import os
import pickle
from dataclasses import dataclass

import pytest

import facula
from facula import nn
from facula.nn import functional
from facula.serialization import objects
from facula.serialization.archive import ArchiveWriter


@dataclass
class Config:
    width: int = 3


class Net(nn.Module):
    """What models keep: modules, classes, functions, settings."""

    made = 0

    def __init__(self):
        super().__init__()
        type(self).made += 1
        self.config = Config(5)
        self.args = argparse.Namespace(lr=0.1)
        self.layers = nn.ModuleList([nn.Linear(2, 5), nn.BatchNorm1d(5), nn.GRU(5, 2)])
        self.kind = nn.BatchNorm2d
        self.first, self.second = functional.relu, facula.tanh

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
        return self.second(self.first(x[0]))


class Plain:
    """Of no kind that a file may hold."""


def saved(obj):
    file = io.BytesIO()
    facula.save(obj, file)
    file.seek(0)
    return file


def zipped(data):
    """A checkpoint with this pickle."""
    file = io.BytesIO()
    archive = ArchiveWriter(file.write, "archive")
    archive.record("data.pkl", data)
    archive.record("version", b"3\n")
    archive.close()
    file.seek(0)
    return file


def test_a_model_is_made_again_without_its_constructor():
    net, x = Net(), facula.randn(4, 2)
    expected, made = net(x), Net.made
    file = saved({"model": net.eval(), "epoch": 3})
    with pytest.raises(pickle.UnpicklingError, match="Net"):
        facula.load(file)
    file.seek(0)
    again = facula.load(file, weights_only=False)["model"]
    assert Net.made == made
    assert again.config == Config(5) and again.args.lr == 0.1 and again.kind is nn.BatchNorm2d
    assert again.first is functional.relu and again.second is facula.tanh
    assert not again.training and str(again) == str(net)
    assert facula.equal(net.train()(x), again.train()(x)) and expected.shape == (4, 2)


@pytest.mark.parametrize("value", [Plain(), Plain, os.getcwd, facula.load])
def test_other_classes_and_functions_are_refused(value):
    net = Net()
    net.config = value
    with pytest.raises(pickle.UnpicklingError, match="not plain data"):
        facula.load(saved(net), weights_only=False)


def test_a_file_calls_no_constructor():
    module = __name__.encode()
    call = b"\x80\x02c" + module + b"\nNet\n)R."
    with pytest.raises(pickle.UnpicklingError, match="calls"):
        facula.load(zipped(call), weights_only=False)
    arguments = b"\x80\x02c" + module + b"\nNet\nK\x01\x85\x81."
    with pytest.raises(pickle.UnpicklingError, match="makes an object"):
        facula.load(zipped(arguments), weights_only=False)


def test_a_file_imports_nothing():
    assert objects.known("not_imported_anywhere", "Net") is None
    assert objects.known("torch.nn.modules.linear", "Linear") is nn.Linear
    assert objects.known("torch.no_such_module", "Linear") is None
    assert objects.known("os", "system") is None
