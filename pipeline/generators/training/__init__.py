"""The training of any recipe: from manifests to weights with their card."""
