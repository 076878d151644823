"""What a user sees: recorded exchanges and real clients against real gateway processes."""
