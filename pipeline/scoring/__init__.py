"""Figures of whole synthetic data sets, as a ReID model sees them."""
