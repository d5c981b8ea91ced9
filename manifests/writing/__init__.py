"""Whatever adds rows: a run from its first claim to its snapshot, merging, relabelling, clearing out."""
