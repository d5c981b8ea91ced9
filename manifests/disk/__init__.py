"""How a data set comes to lie safely: shards, commit records, snapshots, claims, the run's record."""
