"""What a catalogue directory is, and everything that reads, writes or prepares one."""
