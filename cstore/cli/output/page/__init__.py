"""The page of a report: one HTML file that needs no network, drawn by Python.

Owns: layout, drawing and escaping. Must not know: where the numbers come from. `page` in document.py is the one way in.
"""
