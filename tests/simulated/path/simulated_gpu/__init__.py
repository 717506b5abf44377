"""The simulated device itself. tests/simulated/__init__.py says what it models and what it does not."""
