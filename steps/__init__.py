"""Thin ZenML steps: unpack, call one function, log, return."""
