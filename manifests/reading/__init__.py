"""A data set opened, filtered, and followed to its runs, people and files; nothing here writes."""
