"""Serves the agent: the phases of a request, one after the other. Nothing here imports aiohttp, redis or rich."""
