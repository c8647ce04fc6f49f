"""The page of a report: one HTML file that needs no network; Python draws its charts.

Owns: layout, drawing and escaping. Must not know: the origin of the numbers. The only entry point is `page` in
document.py.
"""
