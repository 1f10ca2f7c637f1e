"""The tool lock for people: ask a server what it offers, write that down, and say what changed since."""
