"""Normalisations: where the results lie, and inputs without elements."""

from nn.stored import agrees


@agrees
def test_results_lie_in_the_usual_order(torch):
    F = torch.nn.functional
    x = torch.arange(144.0).sin().reshape(2, 6, 3, 4)
    last, turned, v = x.permute(0, 2, 3, 1), x.transpose(1, 3), x[0].transpose(1, 2)
    mean, var = torch.zeros(4), torch.ones(4)
    results = {
        "layer": F.layer_norm(last, (6,)),
        "rms": F.rms_norm(last, (6,)),
        "group": F.group_norm(v, 2),
        "batch": F.batch_norm(turned, None, None, training=True),
        "batch, channels last": F.batch_norm(last.permute(0, 3, 1, 2), None, None, training=True),
        "batch, evaluated": F.batch_norm(v, mean, var),
        "instance": F.instance_norm(turned),
        "affine": torch.addmm(x[0, 0].t(), x[0, 0].t(), x[0, 0, :, :3]),
    }
    return {k: (y.stride(), y) for k, y in results.items()}


@agrees
def test_parameters_have_gradients_where_there_is_nothing_to_normalise(torch):
    w, b = torch.ones(4, requires_grad=True), torch.ones(4, requires_grad=True)
    torch.nn.functional.group_norm(torch.ones(0, 4, 3), 2, w, b).sum().backward()
    return w.grad, b.grad


@agrees
def test_a_batch_of_nothing_leaves_the_running_statistics(torch):
    norm = torch.nn.BatchNorm1d(2)
    norm(torch.ones(0, 2)).sum().backward()
    return norm.running_mean, norm.running_var, norm.num_batches_tracked, norm.weight.grad


@agrees
def test_whole_numbers_are_averaged_as_whole_numbers(torch):
    x = torch.tensor([[[-8], [6], [9], [0], [5], [1]]])
    return torch.nn.functional.local_response_norm(x, 2)
