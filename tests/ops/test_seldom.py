"""Methods that programs seldom name."""

from __future__ import annotations

from nn.stored import agrees, message


@agrees
def test_orders_of_dimensions(torch):
    x = torch.ones(2, 3, 4)
    return [
        list(x.dim_order()),
        list(x.t_().dim_order()) if x.dim() == 2 else list(x.permute(2, 0, 1).dim_order()),
        list(torch.ones(1, 1).dim_order()),
        list(torch.ones(3).expand(2, 3).dim_order()),
        message(torch.ones(2, 1).dim_order, ambiguity_check=True)[0],
    ]


@agrees
def test_a_function_of_three_tensors_element_by_element(torch):
    x = torch.arange(6.0).reshape(2, 3)
    y = torch.arange(3.0)
    leaf = torch.ones(2, 3, requires_grad=True)
    call = lambda a, b, c: a + 2 * b - c  # noqa: E731
    return [
        x.map2_(x.clone(), y, call),
        message(leaf.map2_, x, x, call)[0],
        message(x.map2_, 3, x, call)[0],
    ]


@agrees
def test_what_was_removed_says_so(torch):
    x = torch.ones(2, 2)
    calls = [x.lstsq, x.solve, torch.lstsq, torch.solve]
    found = [message(f, x) if i < 2 else message(f, x, x) for i, f in enumerate(calls)]
    found += [message(f) for f in (x.eig, x.symeig)]
    return [[kind, text[:64]] for kind, text in found]


@agrees
def test_small_questions(torch):
    x = torch.ones(2)
    other = x.is_distributed(), x.const_data_ptr() == x.data_ptr()
    return [*other, message(x.record_stream, None)[0], message(x.ipu)[0]]
