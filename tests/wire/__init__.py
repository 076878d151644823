"""Tests of the wire room, over real sockets."""
