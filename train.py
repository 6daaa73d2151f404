"""off-policy's command: trains SAC in one process, as `sac-train` does.

python train.py --logdir runs/pendulum --env Pendulum-v1
"""

from __future__ import annotations

import importlib.util
import sys

from tfagents_system.errors import UserError, run_command
from tfagents_system.train import main


def check_python() -> int:
    """Checks that this Python has what training needs.

    Raises:
      UserError: It has not.
    """
    if importlib.util.find_spec("tensorflow") is None:
        raise UserError(
            f"{sys.executable} has no TensorFlow; run scripts/setup.sh, then "
            "source .venv/bin/activate"
        )
    return 0


if __name__ == "__main__":
    sys.exit(run_command(check_python) or main())
