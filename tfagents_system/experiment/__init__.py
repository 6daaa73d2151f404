"""The experiment directory: what all processes of a training share, and its layout."""
