"""The pure core: no I/O, no clock, no random. Time and identity come in as arguments."""
