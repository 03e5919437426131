"""The memory order of convolution weights."""

from __future__ import annotations

from nn.stored import agrees


@agrees
def test_convert(torch):
    net = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.Linear(2, 2))
    same = torch.nn.utils.convert_conv2d_weight_memory_format(net, torch.channels_last)
    cubic = torch.nn.utils.convert_conv3d_weight_memory_format(
        torch.nn.Conv3d(2, 3, 2), torch.channels_last_3d
    )
    return [net[0].weight.stride(), net[1].weight.stride(), same is net, cubic.weight.stride()]
