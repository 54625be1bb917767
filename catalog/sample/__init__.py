"""The embedded sample catalogue: a small shop, drawn and written from a seed."""

from catalog.sample.write import write_sample

__all__ = ["write_sample"]
