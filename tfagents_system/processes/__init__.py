"""One file, one OS process of a run; `__main__` is the door to all of them."""
