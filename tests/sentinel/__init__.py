"""Tests of the sentinel, against real sockets and a real store."""
