"""From a user's `env_ctor` to an environment that the workers can rely on."""
