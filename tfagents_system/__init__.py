"""Distributed SAC: train robot policies with TF-Agents and Reverb.

Importing this package is quick and quiet: TensorFlow, gym and Reverb are imported
only by the modules that use them, and only by the processes that need them.
"""

__version__ = "0.1.0"
