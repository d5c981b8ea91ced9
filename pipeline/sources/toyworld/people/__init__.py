"""The people of the drawn world: bodies, how they walk, what they wear and carry."""
