"""The horizon of a JSON that gives none: the environment's own time limit."""

from __future__ import annotations

from pathlib import Path

from tfagents_system.environments import hooks, layers
from tfagents_system.errors import UserError
from tfagents_system.settings import params_file
from tfagents_system.train_params_base import TrainParamsBase


def complete(
    params: TrainParamsBase, params_path: Path, config_path: Path
) -> TrainParamsBase:
    """Completes the configuration with a horizon, if it has none.

    Args:
      params: The user's `TrainParams`.
      params_path: The file it comes from.
      config_path: The JSON it was built with.

    Returns:
      `params` itself, or, since it may read the horizon when it is built, one that
      was built with it.

    Raises:
      UserError: Neither the JSON nor the environment says it.
    """
    config = params.env_config
    if "horizon" in config:
        return params
    try:
        env = hooks.make_user_env(params, worker=0, seed=params.seed)
    except KeyError as error:
        params_file.explain_missing_horizon(error, params_path, config)
        raise
    horizon = layers.time_limit(env)
    env.close()
    if horizon is None:
        raise UserError(
            f"horizon is missing from {config_path} and the environment has no time "
            'limit; add e.g. "horizon": 1000'
        )
    config = {**config, "horizon": horizon}
    return params_file.make_params(type(params), params_path, config)
