"""Tests of OpenAI's Responses wire format."""
