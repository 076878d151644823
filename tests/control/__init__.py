"""Tests of the operations that the admin API and the command line share."""
