"""What may be promoted, by stakes."""
