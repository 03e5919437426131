"""What `functorch` had before it was part of `torch.func`, under the names that programs import."""

from facula.errors import honest
from facula.func import functionalize, hessian, jacfwd, jvp, replace_all_batch_norm_modules_

__all__ = ["functionalize", "hessian", "jacfwd", "jvp", "replace_all_batch_norm_modules_"]
__getattr__ = honest(__name__)
