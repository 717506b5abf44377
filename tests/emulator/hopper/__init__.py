"""Kernels of Hopper as a whole, each with mistakes that must show: test_hopper.py runs them."""
