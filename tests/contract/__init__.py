"""What every pipeline promises, written once and run on each of them.

A new pipeline gets an adaptor in `systems/`, a class with a dozen short methods, and its line in `SYSTEMS`.
"""
