"""All parameters as one vector, and back."""

from __future__ import annotations

from nn.stored import agrees, message


@agrees
def test_there_and_back(torch):
    net = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Linear(3, 1))
    vector = torch.nn.utils.parameters_to_vector(net.parameters())
    torch.nn.utils.vector_to_parameters(vector.detach() * 2, net.parameters())
    return [vector, vector.requires_grad, list(net.parameters())]


@agrees
def test_not_a_tensor(torch):
    return message(torch.nn.utils.vector_to_parameters, [1.0], [])[0]
