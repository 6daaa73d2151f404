"""One file, one OS process of a run; `__main__` starts any of them."""
