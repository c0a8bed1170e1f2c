"""HTTP and the web page: a loaded pipeline behind FastAPI, on this machine unless told otherwise.

`build_app` makes the application, `serve` runs it until it is told to stop. PyTorch is never imported.
"""
