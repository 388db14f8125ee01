"""Files that a stranger may have made: every reading of such a file begins in this package.

Bounds come before work, names in a file lead nowhere outside its folder, and nothing is executed.
"""
