"""Ray, and only here: what each stage needs, where it is placed, how shards reach its actors."""
