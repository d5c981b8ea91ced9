"""Small tools that every stage shares: settings, progress, digests, devices, images, poses as pictures."""
