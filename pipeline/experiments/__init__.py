"""Trials on drawn people, whose truth is known, that tell which recipe does what."""
