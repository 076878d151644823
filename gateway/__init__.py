"""Trivet: model, prompt and tools as one pinned, canaried, revertible release."""

__version__ = "0.1.0"

PROCESS = "__process__"
"""First argument of a process that a supervisor starts; `__main__` and `wiring` share it here, so that neither imports the other."""
