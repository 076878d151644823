"""Tests of gateway/wiring."""
