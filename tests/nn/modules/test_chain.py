"""A chain of modules is one step of the trace, and does what its modules do one by one."""

from __future__ import annotations

import threading

import pytest

import facula as torch
import facula.nn.functional as F
from facula import nn
from facula.nn.modules import chain
from facula.trace.recorder import TLS, flush


def one_by_one(model, x):
    for module in model:
        x = one_by_one(module, x) if type(module) is nn.Sequential else module(x)
    return x


def chains():
    """Every module that is known, between two others."""
    images = {1: (2, 4, 8), 2: (2, 4, 8, 8), 3: (2, 4, 4, 4, 4)}
    for n in (1, 2, 3):

        def make(name, *args, n=n, **settings):
            return getattr(nn, f"{name}{n}d")(*args, **settings)

        for middle in (
            make("Conv", 4, 4, 3, padding=1, stride=2, groups=2),
            make("Conv", 4, 4, 3, padding="same", dilation=2, bias=False),
            make("Conv", 4, 4, 3, padding=1, padding_mode="circular"),
            make("MaxPool", 2, padding=1),
            make("AvgPool", 2, ceil_mode=True),
            make("AdaptiveAvgPool", 2),
            make("BatchNorm", 4),
            nn.GroupNorm(2, 4),
        ):
            yield nn.Sequential(make("Conv", 4, 4, 1), middle, nn.Flatten(), nn.Tanh()), images[n]
    plain = ("ReLU", "ReLU6", "Hardtanh", "Hardsigmoid", "Hardswish", "SiLU", "Mish", "SELU")
    plain += ("Sigmoid", "Tanh", "LogSigmoid", "ELU", "GELU", "LeakyReLU", "Softplus", "Identity")
    for name in plain:
        yield nn.Sequential(nn.Linear(3, 4), getattr(nn, name)(), nn.Linear(4, 2)), (5, 3)
    for module in (nn.Softmax(dim=1), nn.LogSoftmax(-1), nn.LayerNorm(4), nn.Dropout(0.5)):
        yield nn.Sequential(nn.Linear(3, 4), module, nn.Linear(4, 2, bias=False)), (5, 3)
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU(inplace=True))
    yield nn.Sequential(nn.Linear(3, 4), inner, nn.Tanh()), (5, 3)
    yield nn.Sequential(nn.Sequential(nn.Linear(3, 4), nn.Tanh()), nn.Sigmoid()), (5, 3)


@pytest.mark.parametrize("training", [True, False])
def test_values_and_gradients_are_those_of_the_modules(training):
    for model, shape in chains():
        model.train(training)
        for grad in (True, False, True):
            for _ in range(2):
                x = torch.randn(shape)
                results = []
                for call in (one_by_one, lambda model, x: model(x)):
                    torch.manual_seed(7)
                    model.zero_grad()
                    with torch.set_grad_enabled(grad):
                        y = call(model, x)
                    if grad:
                        y.square().sum().backward()
                    results.append([y.detach(), *[p.grad for p in model.parameters() if grad]])
                for a, b in zip(*results, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def followed(model, x):
    """Whether calls of the model are followed as one, once they are known."""
    for _ in range(3):
        model(x)
        flush()
    return any(key[0] is chain._chain for key in TLS.r.cur.spans or ())


def test_a_known_chain_is_followed_as_one():
    x = torch.randn(2, 3)
    assert followed(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)), x)


def test_a_module_of_the_program_is_called_each_time():
    calls = []

    class Calls(nn.Linear):
        def forward(self, input):
            calls.append(1)
            return super().forward(input)

    model = nn.Sequential(nn.Linear(3, 4), Calls(4, 2))
    for _ in range(5):
        model(torch.randn(2, 3))
    assert len(calls) == 5


def test_what_is_changed_in_a_module_counts(monkeypatch):
    model = nn.Sequential(nn.Linear(3, 4), nn.LeakyReLU(0.1), nn.Linear(4, 2))
    x = torch.randn(2, 3)

    def agrees():
        torch.testing.assert_close(model(x), one_by_one(model, x))

    for _ in range(3):
        agrees()
    model[1].negative_slope = 0.9
    agrees()
    model[0].weight = nn.Parameter(torch.ones(4, 3))
    agrees()
    model[0].bias = None
    agrees()
    with torch.no_grad():
        model[2].weight.mul_(2)
    agrees()
    model[1] = nn.Tanh()
    agrees()
    del model[1]
    agrees()
    model[0].forward = lambda input: input @ torch.full((3, 4), 2.0)
    agrees()
    torch.testing.assert_close(model(torch.ones(1, 3)), model[1](torch.full((1, 4), 6.0)))
    del model[0].forward
    agrees()
    seen = []
    with monkeypatch.context() as m:
        linear = F.linear
        m.setattr(F, "linear", lambda *args: seen.append(1) or linear(*args))
        for _ in range(3):
            model(x)
        assert len(seen) == 6
    with monkeypatch.context() as m:
        forward = nn.Linear.forward
        m.setattr(nn.Linear, "forward", lambda self, x: seen.append(1) or forward(self, x))
        for _ in range(3):
            model(x)
        assert len(seen) == 12
    with monkeypatch.context() as m:
        call = nn.Module.__call__
        m.setattr(nn.Module, "__call__", lambda self, x: seen.append(1) or call(self, x))
        for _ in range(3):
            model(x)
        assert len(seen) == 21


def test_hooks_of_what_a_chain_holds_are_called():
    inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model = nn.Sequential(nn.Linear(3, 4), inner, nn.Linear(4, 2))
    x = torch.randn(2, 3)
    for _ in range(3):
        model(x)
    for module in (model[0], inner, inner[1], model[2]):
        seen = []
        handles = [
            module.register_forward_hook(lambda m, a, out, seen=seen: seen.append("after")),
            module.register_forward_pre_hook(lambda m, a, seen=seen: seen.append("before")),
            module.register_full_backward_hook(lambda m, a, b, seen=seen: seen.append("back")),
        ]
        for _ in range(2):
            model(x.clone().requires_grad_()).sum().backward()
        assert seen == ["before", "after", "back"] * 2
        for handle in handles:
            handle.remove()
        model(x)
        assert len(seen) == 6


def test_a_result_that_is_the_input_or_a_view_of_it_is_that():
    x = torch.ones(2, 3)
    assert nn.Sequential(nn.Identity(), nn.Dropout(0.5).eval())(x) is x
    model = nn.Sequential(nn.Identity(), nn.Flatten(0))
    for _ in range(3):
        y = model(x)
    y[0] = 5.0
    assert x[0, 0] == 5.0


def test_an_activation_in_place_overwrites_its_input():
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Linear(3, 2))
    for _ in range(3):
        x = -torch.ones(2, 3)
        model(x)
        assert (x == 0).all()


def test_an_error_is_that_of_the_module():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(5, 2))
    for _ in range(3):
        with pytest.raises(RuntimeError, match="5"):
            model(torch.randn(2, 3))
        with pytest.raises(TypeError):
            nn.Sequential(nn.Linear(3, 4), nn.ReLU())("no tensor")


def test_two_threads_call_two_models():
    wrong = []

    def work(width):
        model = nn.Sequential(nn.Linear(3, width), nn.Tanh(), nn.Linear(width, 2))
        x = torch.randn(2, 3)
        for _ in range(30):
            if not torch.allclose(model(x), one_by_one(model, x)):
                wrong.append(width)

    threads = [threading.Thread(target=work, args=(w,)) for w in (4, 9)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


def test_with_autocast_a_chain_computes_in_its_dtype():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(2, 3)
    for _ in range(3):
        assert model(x).dtype == torch.float32
    with torch.autocast("cpu", dtype=torch.bfloat16):
        for _ in range(3):
            assert model(x).dtype == torch.bfloat16
