"""What is learned: specs, networks and the SAC agent. No processes, no Reverb."""
