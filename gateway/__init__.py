"""Trivet: model, prompt and tools as one pinned, canaried, revertible release."""

__version__ = "0.1.0"
