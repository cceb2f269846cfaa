"""The vehicles: a fleet, and each one's mesh.

design/ says what a vehicle is and paints it; here it gets a body.
"""
