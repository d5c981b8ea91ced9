"""From a plan of rows to shards of images: what is made, of what, labelled how; no engine in it."""
