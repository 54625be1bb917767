"""Bringing other people's tables into the form of a catalogue directory."""
