"""Tests of the Anthropic wire format."""
