"""One package per wire format: envelope, splice, reply decoder, error shape."""
