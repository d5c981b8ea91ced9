"""The places of the drawn world: streets and rooms, what stands in them, what they are made of."""
