"""Answers for every row of a catalogue, a hundred million of them where that is what there are."""
