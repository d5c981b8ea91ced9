"""What a ReID data set is on disk: schemas, soft labels, store, validation. No torch, no Ray."""
