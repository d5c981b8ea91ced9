"""A shard on its way: its batches, the stages that run at once, scores, and rows as columns."""
