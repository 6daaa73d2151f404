"""Plans the processes of a training, starts them, watches them, and stops them."""
