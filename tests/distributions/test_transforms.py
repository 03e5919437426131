"""Transformations and the sets that they lead into, against PyTorch."""

from __future__ import annotations

import pickle

from nn.stored import agrees, raised

import facula


def cases(torch):
    D = torch.distributions
    T = D.transforms
    x = torch.tensor([[-1.2, 0.3, 2.0], [0.5, -0.1, 1.0]], dtype=torch.float64)
    return {
        "Abs": (T.AbsTransform(), x),
        "Affine": (T.AffineTransform(1.0, -2.0), x),
        "Affine event": (T.AffineTransform(x[0], x[1] + 2, event_dim=1), x),
        "Cat": (T.CatTransform([T.ExpTransform(), T.TanhTransform()], dim=1, lengths=[1, 2]), x),
        "Compose": (T.ComposeTransform([T.AffineTransform(0.5, 2.0), T.SigmoidTransform()]), x),
        "CorrCholesky": (T.CorrCholeskyTransform(), x),
        "Cumulative": (T.CumulativeDistributionTransform(D.Normal(0.0, 1.0)), x),
        "Exp": (T.ExpTransform(), x),
        "Exp inverse": (T.ExpTransform().inv, x.exp()),
        "Independent": (T.IndependentTransform(T.ExpTransform(), 1), x),
        "LowerCholesky": (T.LowerCholeskyTransform(), x[:, :2]),
        "PositiveDefinite": (T.PositiveDefiniteTransform(), x[:, :2]),
        "Power": (T.PowerTransform(1.5), x.exp()),
        "Reshape": (T.ReshapeTransform((3,), (3, 1)), x),
        "Sigmoid": (T.SigmoidTransform(), x),
        "Softmax": (T.SoftmaxTransform(), x),
        "Softplus": (T.SoftplusTransform(), x),
        "Stack": (T.StackTransform([T.ExpTransform(), T.TanhTransform()], dim=0), x),
        "StickBreaking": (T.StickBreakingTransform(), x),
        "Tanh": (T.TanhTransform(), x),
        "nothing": (T.identity_transform, x),
    }


def attempt(function):
    try:
        return function()
    except Exception as error:
        return type(error).__name__


@agrees(rtol=1e-6)
def test_every_transform(torch):
    out = {}
    for name, (f, x) in cases(torch).items():
        y = f(x)
        out[name] = {
            "value": y,
            "inverse": attempt(lambda f=f, y=y: f.inv(y)),
            "change": attempt(lambda f=f, x=x, y=y: f.log_abs_det_jacobian(x, y)),
            "back": attempt(lambda f=f, x=x, y=y: f.inv.log_abs_det_jacobian(y, x)),
            "dims": [
                attempt(lambda f=f: f.domain.event_dim),
                attempt(lambda f=f: f.codomain.event_dim),
            ],
            "inside": attempt(lambda f=f, y=y: f.codomain.check(y)),
            "bijective": f.bijective,
            "sign": attempt(lambda f=f: f.sign),
            "shapes": attempt(
                lambda f=f, x=x, y=y: [
                    list(f.forward_shape(x.shape)),
                    list(f.inverse_shape(y.shape)),
                ]
            ),
            "equal": [f == f, f == torch.distributions.ExpTransform()],
        }
    return out


@agrees
def test_into_sets(torch):
    D = torch.distributions
    c = D.constraints
    x = torch.tensor([[0.3, -1.2, 0.7], [0.0, 2.0, -0.4], [1.0, 0.1, 0.2]], dtype=torch.float64)
    sets = [c.real, c.positive, c.nonnegative, c.greater_than(2.0), c.less_than(-1.0),
            c.interval(-1.0, 3.0), c.unit_interval, c.half_open_interval(0.0, 2.0), c.simplex,
            c.lower_cholesky, c.positive_definite, c.corr_cholesky, c.real_vector, c.boolean,
            c.independent(c.positive, 1), c.cat([c.positive, c.real], 1, [1, 2]),
            c.stack([c.positive, c.real, c.unit_interval], 1)]  # fmt: skip
    out = []
    for s in sets:
        out.append([repr(s) if "object at" not in repr(s) else None])
        for registry in (D.transform_to, D.biject_to):
            y = attempt(lambda registry=registry, s=s: registry(s)(x))
            out[-1].append([y, y if isinstance(y, str) else s.check(y)])
    return out


@agrees
def test_membership(torch):
    c = torch.distributions.constraints
    x = torch.tensor([[0.0, 1.0, 0.0], [0.5, 0.5, 0.0], [-1.0, 2.0, float("nan")]])
    m = torch.tensor([[[2.0, 1.0], [1.0, 2.0]], [[1.0, 0.0], [0.6, 0.8]], [[1.0, 2.0], [2.0, 1.0]]])
    flat = [c.boolean, c.one_hot, c.simplex, c.real, c.real_vector, c.positive, c.nonnegative,
            c.unit_interval, c.nonnegative_integer, c.positive_integer, c.integer_interval(0, 1),
            c.greater_than_eq(0.5), c.less_than(0.5), c.multinomial(1)]  # fmt: skip
    square = [c.lower_triangular, c.lower_cholesky, c.corr_cholesky, c.square, c.symmetric,
              c.positive_definite, c.positive_semidefinite]  # fmt: skip
    dependent = torch.distributions.Uniform.support
    return [
        *[[s.check(x), s.is_discrete, s.event_dim] for s in flat],
        *[[s.check(m), s.event_dim] for s in square],
        c.is_dependent(dependent),
        dependent.event_dim,
        raised(dependent.check, x),
        raised(lambda: torch.distributions.constraints.dependent.event_dim),
    ]


def test_a_cache_keeps_the_pair():
    f = facula.distributions.TanhTransform(cache_size=1)
    x = facula.tensor([12.0])
    y = f(x)
    assert f.inv(y) is x
    assert f.inv.inv is f
    again = pickle.loads(pickle.dumps(facula.distributions.AffineTransform(1.0, 2.0)))
    assert again(x).item() == 25


def test_names_that_libraries_take():
    T = facula.distributions.transforms
    assert isinstance(T.ExpTransform().inv, T._InverseTransform)
    x = facula.tensor([-1000.0, 0.0, 1000.0])
    low, half, high = T._clipped_sigmoid(x).tolist()
    assert 0 < low < half == 0.5 < high < 1
