"""Gradient steps, and what is saved of them."""
