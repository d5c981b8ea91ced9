"""What every training shares: its data, the order of rows, log, checkpoints, workers, the watch for NaN."""
