"""Proposes a mapping for a file: from recipes of well-known exports, from the words of its header, and from its values."""
