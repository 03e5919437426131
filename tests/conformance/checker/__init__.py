"""The parts of the checker that `check.py` runs."""
