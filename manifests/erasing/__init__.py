"""The traces of one person found, and removed so that no byte stays."""
