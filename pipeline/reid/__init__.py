"""Person re-identification: the network that synthetic data are for, and that measures how good they are."""
