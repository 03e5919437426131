"""Elements that indices pick along rows, compiled, against the interpreter."""

import pytest
from cpu.both import both

import facula as torch

DTYPES = [torch.float32, torch.int32, torch.float64, torch.int64, torch.float16, torch.bool]
PICKS = {
    "a row of indices for many rows": lambda x, i, j: x[:, j],
    "two indices": lambda x, i, j: x[i[:, None], j],
    "two indices of a transposed array": lambda x, i, j: x.t()[j[:, None], i],
    "every second column": lambda x, i, j: x[:, ::2][i[:, None], j // 2],
    "indices before columns": lambda x, i, j: x.reshape(30, 5, 10)[i[:37], :, j[:37] % 10],
    "indices along a dimension that does not vary": lambda x, i, j: x.t().gather(
        0, j[:, None].expand(len(j), 30)
    ),
    "an index for each element": lambda x, i, j: x.gather(0, i[:40, None].expand(40, 50)),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", PICKS)
def test_elements_of_many_places(name, dtype):
    def build():
        x = (torch.randn(30, 50) * 50).to(dtype)
        i, j = torch.randint(0, 30, (45,)), torch.randint(0, 50, (131,))
        torch.synchronize()
        y = PICKS[name](x, i, j)
        return y, y.float() + 1

    both(build)
