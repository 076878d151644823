"""Prompt and toolset templates, learnt from what is sent: literals that stay, holes where values change."""
