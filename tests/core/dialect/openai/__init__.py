"""Tests of the OpenAI wire format."""
