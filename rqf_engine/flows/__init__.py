"""Flows in the frame: one ingredient of the model each, with its interpretation, order and limits.

Every flow has a form for a pair of tokens, whose state is the cotangent of their angle, and one for N
tokens, whose state is their upper triangular coordinates. All work on many realisations ("lanes") side
by side, the lane index last, and consume rows of independent standard normals.
"""
