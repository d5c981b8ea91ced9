"""Pose and mask of a crop, and the rows that they become."""
