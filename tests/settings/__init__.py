"""Tests of gateway/settings."""
