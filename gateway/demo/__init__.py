"""The demo: a provider that moves a model behind its alias, agents that work meanwhile, and Trivet between them.

It starts real processes and real sockets and prints only what it measured; the provider's models are made up, and it says so.
"""
