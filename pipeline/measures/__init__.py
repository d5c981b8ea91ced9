"""Figures of a generated image, of sets of images, and of the identity that an image shows."""
