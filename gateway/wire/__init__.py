"""HTTP/1.1 on llhttp, both sides, as asyncio protocols. Knows bytes and deadlines, and nothing of language models."""
