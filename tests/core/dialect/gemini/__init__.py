"""Tests of the Gemini wire format."""
