"""One file a process of a run; each has its own service template in supervise/."""
