"""Trivet beside nginx, Envoy, aiohttp and LiteLLM, on one core, in one go: CPU per request, latency, memory.

Rule of the package: absolute numbers of a shared machine mean little, so whatever is compared runs in the same round,
and what is reported is the median of the ratios within each round.
"""
