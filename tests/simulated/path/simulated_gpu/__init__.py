"""The simulated device itself. What it models and what it does not: tests/simulated/__init__.py."""
