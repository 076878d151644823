"""Gemini's wire format: generateContent, streamed and not, countTokens, embedContent, models."""
