"""SAC in one process, without Reverb: for prototypes, and to debug a `TrainParams`."""
