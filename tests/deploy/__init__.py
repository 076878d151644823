"""What `deploy/` ships, checked by the tools that will read it."""
