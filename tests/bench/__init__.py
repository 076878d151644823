"""The bench itself: its arithmetic and its C programs."""
