"""Judges a foreign candidate against a pair, in stages, without trusting it: is it right, and how does it compare?"""
