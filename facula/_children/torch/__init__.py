"""What `import torch` finds in the child processes of `facula run`: it steps aside for Facula.

The folder above is on PYTHONPATH in those processes (see `facula/run.py`), which otherwise know
nothing of the switch. Importing this module installs it, and Facula takes its place under `torch`.
"""

import os
import sys

_stands_in_for_facula = True

try:
    import facula.run
except ModuleNotFoundError as error:
    if error.name != "facula":
        raise
    # The parent found Facula through its own folder or a path of its own making, so it isn't
    # where this process looks; it stands three folders above this file.
    above = os.path.dirname
    sys.path.append(above(above(above(above(os.path.abspath(__file__))))))
    import facula.run

facula.run.install()
