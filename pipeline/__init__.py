"""How synthetic ReID images are made: sources, masks, poses, generators, synthesis."""

import os

from manifests import __version__ as __version__

# OpenCV reads this when it is first imported; without it a lying header can ask for gigabytes.
os.environ.setdefault("OPENCV_IO_MAX_IMAGE_PIXELS", str(1 << 26))
