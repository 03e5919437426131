"""What all optimisers share: groups, state, hooks, copies, and one trace for all steps."""

import copy
import pickle

import numpy as np
import pytest
from optim import stored

import facula as torch
from facula.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
    required,
)
from facula.trace.recorder import TLS

ALL = {
    "SGD": {"momentum": 0.9},
    "Adam": {"amsgrad": True},
    "AdamW": {},
    "Adamax": {},
    "Adagrad": {"lr_decay": 0.1},
    "Adadelta": {},
    "ASGD": {"t0": 2},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"momentum": 0.5, "centered": True},
    "Rprop": {},
    "Adafactor": {},
    "Muon": {},
}
CAPTURABLE = ["Adam", "AdamW", "Adamax", "Adadelta", "ASGD", "NAdam", "RAdam", "RMSprop", "Rprop"]


def parameter(*shape, value=1.0):
    return torch.nn.Parameter(torch.full(shape or (2,), value))


def make(name, **options):
    return stored.make(torch, name, {**ALL[name], **options}, "float32")


def run(params, optimizer, steps):
    for t in steps:
        stored.set_gradients(torch, params, t, "float32")
        optimizer.step()


def values(params):
    return [p.tolist() for p in params]


# ---- steps


@pytest.mark.parametrize("name", ALL)
def test_parameters_without_gradient_are_skipped(name):
    params, optimizer = make(name)
    before = values(params)
    had = len(optimizer.state)  # Adagrad's state is there from the beginning
    stored.set_gradients(torch, params, 1, "float32")
    params[0].grad = None
    optimizer.step()
    assert values(params)[0] == before[0]
    assert values(params)[1] != before[1]
    assert len(optimizer.state) == max(had, len(params) - 1)


@pytest.mark.parametrize("name", ALL)
def test_gradients_are_left_alone(name):
    params, optimizer = make(name, **({} if name == "Muon" else {"maximize": True}))
    stored.set_gradients(torch, params, 1, "float32")
    before = [p.grad.clone() for p in params]
    optimizer.step()
    optimizer.step()
    for p, grad in zip(params, before):
        np.testing.assert_array_equal(p.grad.numpy(), grad.numpy())


@pytest.mark.parametrize("name", [n for n in ALL if n != "Muon"])
def test_maximize_is_the_step_of_the_negated_gradient(name):
    first, maximizing = make(name, maximize=True)
    second, minimizing = make(name)
    for t in range(1, 5):
        for params, sign in ((first, 1), (second, -1)):
            for i, p in enumerate(params):
                p.grad = sign * torch.tensor(stored._wave(tuple(p.shape), t + i, "float32")).float()
        maximizing.step()
        minimizing.step()
    for p, q in zip(first, second):
        np.testing.assert_allclose(p.detach().numpy(), q.detach().numpy(), 1e-6, 1e-7)


@pytest.mark.parametrize("name", ALL)
def test_closure(name):
    params, optimizer = make(name)
    seen = []

    def closure():
        seen.append(torch.is_grad_enabled())
        stored.set_gradients(torch, params, 1, "float32")
        return 7

    before = values(params)
    with torch.no_grad():
        assert optimizer.step(closure) == 7
    assert optimizer.step() is None
    assert seen == [True]
    assert values(params) != before


@pytest.mark.parametrize("name", CAPTURABLE)
def test_capturable_changes_nothing(name):
    first, one = make(name, capturable=True)
    second, other = make(name)
    for params, optimizer in ((first, one), (second, other)):
        run(params, optimizer, range(1, 4))
    assert values(first) == values(second)


@pytest.mark.parametrize("name", sorted({*ALL} - {"SGD", "Adagrad", "SparseAdam"}))
def test_sparse_gradients_are_refused(name):
    p = parameter(2, 2)
    optimizer = getattr(torch.optim, name)([p])
    p.grad = torch.eye(2).to_sparse()
    with pytest.raises(RuntimeError, match=rf"{name} does not support sparse .*\(2, 2\)"):
        optimizer.step()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        *[(name, {}) for name in ("SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax")],
        ("Adam", {"amsgrad": True}),
        ("AdamW", {"amsgrad": True}),
    ],
)
def test_differentiable(name, options):
    """The derivative of a step with respect to the parameter, against differences."""

    def after(x):
        p = torch.tensor(x, dtype=torch.float64, requires_grad=True)
        q = p.clone()
        optimizer = getattr(torch.optim, name)([q], lr=0.1, differentiable=True, **options)
        q.retain_grad()
        for _ in range(2):
            q.grad = (3 * p * p).detach() * 0 + 3 * p * p
            optimizer.step()
        return p, q

    p, q = after(0.7)
    (derivative,) = torch.autograd.grad(q, p)
    h = 1e-6
    difference = (after(0.7 + h)[1].item() - after(0.7 - h)[1].item()) / (2 * h)
    assert derivative.item() == pytest.approx(difference, rel=1e-5)


# ---- one trace


def train(name, options, lr, steps):
    """Train with a changing rate; the size of the trie and the frames ended within step()."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 5), torch.nn.Tanh(), torch.nn.Linear(5, 2))
    params = [p for p in model.parameters() if name != "Muon" or p.dim() == 2]
    optimizer = getattr(torch.optim, name)(params, lr=lr, **options)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 50, eta_min=1e-4)
    x, y = torch.randn(8, 3), torch.randn(8, 2)
    sizes, flushes = [], 0
    for _ in range(steps):
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean()
        loss.backward()
        frame = TLS.r.frame
        optimizer.step()
        flushes += TLS.r.frame - frame
        schedule.step()
        loss.item()
        sizes.append(TLS.r.size)
    return sizes, flushes


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("kind", ["number", "tensor"])
def test_training_repeats_one_trace(name, kind):
    lr = torch.tensor(0.01) if kind == "tensor" else 0.01
    sizes, flushes = train(name, ALL[name], lr, 30)
    assert flushes == 0  # step() reads no value
    assert len(set(sizes[9:])) == 1  # RAdam's sixth step is the first that is rectified


# ---- state


@pytest.mark.parametrize("name", ALL)
def test_state_dict_resumes_bit_by_bit(name, tier):
    params, optimizer = make(name)
    run(params, optimizer, range(1, 8))
    saved = pickle.loads(pickle.dumps(optimizer.state_dict()))
    others, other = make(name)
    with torch.no_grad():
        for p, q in zip(params, others):
            q.copy_(p)
    other.load_state_dict(saved)
    run(params, optimizer, range(8, 12))
    run(others, other, range(8, 12))
    assert values(params) == values(others)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_go_on_by_themselves(name, copied, tier):
    params, optimizer = make(name)
    run(params, optimizer, range(1, 3))
    other = copied(optimizer)
    others = other.param_groups[0]["params"]
    assert type(other) is type(optimizer)
    assert others[0] is not params[0]
    before = values(params)
    run(others, other, range(3, 6))
    assert values(params) == before
    run(params, optimizer, range(3, 6))
    assert values(params) == values(others)


def test_state_dict():
    params, optimizer = make("Adam")
    run(params, optimizer, [1, 2])
    saved = optimizer.state_dict()
    assert list(saved) == ["state", "param_groups"]
    assert list(saved["state"]) == [0, 1, 2]
    assert saved["param_groups"][0]["params"] == [0, 1, 2]
    assert saved["state"][1]["exp_avg"] is optimizer.state[params[1]]["exp_avg"]
    assert saved["state"][0]["step"].item() == 2
    run(params, optimizer, [3])
    assert saved["state"][0]["step"].item() == 3  # the tensors are the optimiser's


def test_a_written_counter_counts():
    params, optimizer = make("Adam")
    run(params, optimizer, [1])
    optimizer.state[params[0]]["step"].fill_(10)
    run(params, optimizer, [2])
    assert optimizer.state[params[0]]["step"].item() == 11


def test_counters_of_old_checkpoints_are_numbers():
    params, optimizer = make("Adam")
    run(params, optimizer, [1])
    saved = optimizer.state_dict()
    for state in saved["state"].values():
        state["step"] = 4
    optimizer.load_state_dict(saved)
    run(params, optimizer, [2])
    step = optimizer.state[params[0]]["step"]
    assert isinstance(step, torch.Tensor)
    assert step.item() == 5


def test_loading_casts_to_the_parameters_dtype():
    _, narrow = make("Adam")
    params, wide = stored.make(torch, "Adam", {}, "float64")
    run(params, wide, [1])
    narrow.load_state_dict(wide.state_dict())
    state = narrow.state[narrow.param_groups[0]["params"][0]]
    assert state["exp_avg"].dtype == torch.float32
    assert state["step"].dtype == torch.float32


def test_counters_are_as_wide_as_the_default_dtype():
    torch.set_default_dtype(torch.float64)
    try:
        params, optimizer = stored.make(torch, "Adam", {}, "float64")
        run(params, optimizer, [1])
        assert optimizer.state[params[0]]["step"].dtype == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_loading_needs_the_same_groups():
    first = torch.optim.SGD([parameter(), parameter()])
    with pytest.raises(ValueError, match=r"different number of parameter groups: 1, expected 2"):
        torch.optim.SGD([{"params": parameter()}, {"params": parameter()}]).load_state_dict(
            first.state_dict()
        )
    with pytest.raises(ValueError, match="group 0 has 2 parameters, expected 1"):
        torch.optim.SGD([parameter()]).load_state_dict(first.state_dict())


def test_loading_leaves_the_saved_dict_alone():
    params, optimizer = make("SGD")
    run(params, optimizer, [1])
    saved = optimizer.state_dict()
    other = make("SGD")[1]
    other.load_state_dict(saved)
    other.param_groups[0]["lr"] = 5.0
    assert saved["param_groups"][0]["lr"] == 1e-3
    assert saved["param_groups"][0]["params"] == [0, 1, 2]


def test_names_are_saved():
    optimizer = torch.optim.SGD([("a", parameter()), ("b", parameter())])
    saved = optimizer.state_dict()
    assert saved["param_groups"][0]["param_names"] == ["a", "b"]
    unnamed = torch.optim.SGD([parameter(), parameter()])
    unnamed.load_state_dict(saved)
    assert unnamed.param_groups[0]["param_names"] == ["a", "b"]


# ---- groups


def test_groups_have_options_of_their_own():
    p, q = parameter(), parameter()
    optimizer = torch.optim.SGD([{"params": [p], "lr": 0.5}, {"params": q}], lr=0.1)
    p.grad, q.grad = torch.ones(2), torch.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]
    assert q.tolist() == pytest.approx([0.9, 0.9])
    assert [g["momentum"] for g in optimizer.param_groups] == [0, 0]


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        (lambda: parameter(), TypeError, "should be an iterable of Tensors or dicts, but got a"),
        (list, ValueError, "optimizer got an empty parameter list"),
        (lambda: [3], TypeError, "can only optimize Tensors, but one of the params is int"),
        (lambda: [parameter() * 2], ValueError, "can't optimize a non-leaf Tensor"),
        (lambda: [{"params": {parameter()}}], TypeError, "in ordered collections"),
        (lambda: [{"lr": 1.0}], KeyError, "params"),
        (lambda: [("a", parameter()), parameter()], ValueError, "Some param names are missing"),
        (
            lambda: [{"params": [("a", parameter())]}, {"params": [parameter()]}],
            ValueError,
            "cannot add param group without names to the optimizer",
        ),
        (
            lambda: [{"params": [parameter()]}, {"params": [("a", parameter())]}],
            ValueError,
            "cannot add param group with names to the optimizer",
        ),
    ],
)
def test_errors_of_parameters(params, error, message):
    with pytest.raises(error, match=message):
        torch.optim.SGD(params())


def test_add_param_group():
    p, q = parameter(), parameter()
    optimizer = torch.optim.SGD([p], lr=0.1, momentum=0.9)
    optimizer.add_param_group({"params": q, "lr": 0.5})
    assert optimizer.param_groups[1]["momentum"] == 0.9
    for group, error, message in [
        ([parameter()], TypeError, "param_group must be a dict, but got <class 'list'>"),
        ({"params": [parameter(), p]}, ValueError, "appear in more than one parameter group"),
        ({"params": [3]}, TypeError, "can only optimize Tensors"),
    ]:
        with pytest.raises(error, match=message):
            optimizer.add_param_group(group)
        assert len(optimizer.param_groups) == 2


def test_duplicates_warn():
    p = parameter()
    with pytest.warns(UserWarning, match="parameter group with duplicate parameters"):
        optimizer = torch.optim.SGD([p, p], lr=0.25)
    p.grad = torch.ones(2)
    optimizer.step()
    assert p.tolist() == [0.5, 0.5]


def test_required_options():
    class Mine(torch.optim.Optimizer):
        pass

    with pytest.raises(ValueError, match="required optimization parameter lr"):
        Mine([parameter()], {"lr": required})
    assert Mine([{"params": parameter(), "lr": 1}], {"lr": required}).param_groups[0]["lr"] == 1
    with pytest.raises(NotImplementedError, match=r"Mine.step\(\) is not implemented"):
        Mine([parameter()], {}).step()


def test_repr():
    text = repr(torch.optim.SGD([parameter()], lr=0.25))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n")
    assert "\n    lr: 0.25\n" in text
    assert text.endswith("\n    weight_decay: 0\n)")


# ---- gradients


def test_zero_grad():
    p, unused = parameter(), parameter()
    optimizer = torch.optim.SGD([p, unused])
    (p * p).sum().backward()
    grad = p.grad
    optimizer.zero_grad(set_to_none=False)
    assert p.grad is grad
    assert grad.tolist() == [0.0, 0.0]
    assert unused.grad is None
    optimizer.zero_grad()
    assert p.grad is None
    (p**3).sum().backward(create_graph=True)
    assert p.grad.requires_grad
    optimizer.zero_grad(set_to_none=False)
    assert not p.grad.requires_grad
    assert p.grad.tolist() == [0.0, 0.0]


# ---- hooks


def test_step_hooks():
    p = parameter()
    p.grad = torch.ones(2)
    optimizer = torch.optim.SGD([p], lr=0.5)
    seen = []

    def pre(opt, args, kwargs):
        assert opt is optimizer
        seen.append(("pre", p.tolist()))

    def post(opt, args, kwargs):
        seen.append(("post", p.tolist()))

    first = optimizer.register_step_pre_hook(pre)
    second = optimizer.register_step_post_hook(post)
    optimizer.step()
    assert seen == [("pre", [1.0, 1.0]), ("post", [0.5, 0.5])]
    first.remove()
    second.remove()
    optimizer.step()
    assert len(seen) == 2


def test_pre_hook_changes_the_arguments():
    p = parameter()
    optimizer = torch.optim.SGD([p])
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: ((opt, lambda: 5), {}))
    assert optimizer.step() == 5
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: 3)
    with pytest.raises(RuntimeError, match=r"a pre-hook must return None or a tuple .* got 3"):
        optimizer.step()


def test_hooks_of_all_optimizers():
    seen = []
    handles = [
        register_optimizer_step_pre_hook(lambda opt, args, kwargs: seen.append("before")),
        register_optimizer_step_post_hook(lambda opt, args, kwargs: seen.append("after")),
    ]
    try:
        torch.optim.SGD([parameter()]).step()
        torch.optim.Adam([parameter()]).step()
    finally:
        for handle in handles:
            handle.remove()
    torch.optim.SGD([parameter()]).step()
    assert seen == ["before", "after"] * 2


def test_hooks_run_once_for_an_inherited_step():
    class Mine(torch.optim.SGD):
        def step(self, closure=None):
            return super().step(closure)

    seen = []
    optimizer = Mine([parameter()])
    optimizer.register_step_post_hook(lambda *args: seen.append(1))
    optimizer.step()
    optimizer.step()
    assert seen == [1, 1]


def test_state_dict_hooks():
    optimizer = torch.optim.SGD([parameter()])
    seen = []
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("pre"))
    optimizer.register_state_dict_pre_hook(lambda opt: seen.append("first"), prepend=True)
    handle = optimizer.register_state_dict_post_hook(lambda opt, state: {**state, "more": 1})
    saved = optimizer.state_dict()
    assert seen == ["first", "pre"]
    assert saved["more"] == 1
    handle.remove()
    assert "more" not in optimizer.state_dict()


def test_load_state_dict_hooks():
    optimizer = torch.optim.SGD([parameter()], lr=0.1)
    saved = optimizer.state_dict()
    seen = []

    def pre(opt, state):
        groups = [{**state["param_groups"][0], "lr": 0.7}]
        return {**state, "param_groups": groups}

    optimizer.register_load_state_dict_pre_hook(pre)
    optimizer.register_load_state_dict_post_hook(lambda opt: seen.append(opt.param_groups[0]["lr"]))
    optimizer.load_state_dict(saved)
    assert seen == [0.7]
    assert saved["param_groups"][0]["lr"] == 0.1


def test_a_wrapper_of_an_optimizer_need_not_be_one_itself():
    """accelerate's derives from the class and begins nothing of it."""

    class Wrapper(torch.optim.Optimizer):
        def __init__(self, inner):
            self.inner = inner
            self._patch_step_function()

        def step(self, closure=None):
            return self.inner.step(closure)

    w = torch.ones(2, requires_grad=True)
    w.grad = torch.ones(2)
    Wrapper(torch.optim.SGD([w], 0.5)).step()
    assert w.tolist() == [0.5, 0.5]
