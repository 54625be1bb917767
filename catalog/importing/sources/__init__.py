"""Reads a file of any kind as a table of text whose rows keep the line they came from; a module a kind."""
