"""Jobs of a real SLURM cluster, which the tests start on this machine."""
