"""The API of the admin port."""
