"""The laws of the house, held by tests (CONTRIBUTING.md lists them)."""
