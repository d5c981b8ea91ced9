"""A trained generator as a thing to call; how one is built and trained lies in the folders below."""
