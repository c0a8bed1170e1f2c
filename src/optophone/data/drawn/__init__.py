"""Things that are no photographs, drawn with Pillow and NumPy: what a captioner must not take for surfers and cats.

A drawing is a function of a random generator and a size (width, height) in pixels; it returns an RGB image of about
that size. `optophone.data.non_photographs` lists them by family.
"""
