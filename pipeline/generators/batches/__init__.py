"""What a recipe trains on: crops, pairs of images, cameras."""
