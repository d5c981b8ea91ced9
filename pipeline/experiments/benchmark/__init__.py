"""Does the synthetic data help? Every recipe from its generator to the ReID model that was trained on its images."""
