"""Tests that take an hour: called with `make soak`."""
