"""A policy in an environment: episodes, evaluations, and what is logged of them."""
