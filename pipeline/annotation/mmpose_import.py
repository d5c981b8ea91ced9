"""Import mmpose beside mmcv-lite: what its top-down models never use is stood in for while it is imported.

``mmpose.models`` imports two heads that want mmcv's compiled operators and mmdet, which are not installed; for
helpers of training, all of its data sets and metrics, with SciPy's statistics; and by mmengine PyTorch's sharded
training. A top-down estimator runs none of them, and without them the import takes a sixth of the time (1.9 s of CPU
to 0.3). `import_mmpose` lets those imports succeed with stand-ins (`pipeline.annotation.stand_ins`) and leaves neither
a stand-in nor an import hook behind: other code that imports such a module gets the true one.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

from manifests.errors import UserError
from pipeline.annotation.stand_ins import standing_in

_INSTALL = "pip install --no-deps mmpose==1.3.2"
_STAND_INS = frozenset(
    {
        "mmcv._ext",
        "mmdet",
        "mmdet.utils",
        "mmpose.datasets",
        "mmpose.datasets.datasets",
        "mmpose.datasets.datasets.utils",
        "mmpose.evaluation",
        "mmpose.evaluation.functional",
        "mmpose.evaluation.functional.nms",
        "torch.distributed.fsdp",
        "torch.distributed.fsdp.api",
        "torch.distributed.fsdp.fully_sharded_data_parallel",
        "torch.distributed.optim",
    }
)
_lock = threading.Lock()


def check_mmpose() -> None:
    """That mmpose is installed, without importing it: pip, which cannot leave a requirement out, brings all but it.

    Raises:
        UserError: it is not.
    """
    if importlib.util.find_spec("mmpose") is None:
        raise UserError(
            f"poses need mmpose, which is not installed: `{_INSTALL}` (--no-deps, since it asks for chumpy and "
            "xtcocotools, which do not build any more; what else it needs is here)"
        )


def import_mmpose() -> ModuleType:
    """``mmpose`` with its models and codecs registered; the first call takes its time, later ones nothing.

    Raises:
        UserError: mmpose is not installed.
    """
    check_mmpose()
    with _lock:
        if "mmpose.models" not in sys.modules:
            with standing_in(_STAND_INS):
                importlib.import_module("mmpose.models")
            _silence()
    return importlib.import_module("mmpose")


@contextmanager
def quiet_start() -> Iterator[None]:
    """Silence the named warning of mmpose inside of the block; every other warning passes."""
    with warnings.catch_warnings():
        _silence()
        yield


def _silence() -> None:
    # CSPNeXt of mmpose 1.3 says it at its first forward pass, and nothing about it can be changed here.
    said = r"`torch\.cuda\.amp\.autocast\(.*\)` is deprecated"
    warnings.filterwarnings("ignore", message=said, category=FutureWarning, module=r"mmpose\.")
