"""Renders the example pictures: three scenes that look like photographs, made of noise, soft bodies and light.

Only NumPy and Pillow are needed, and a seed fixes every pixel. All light is linear until `photograph.develop`.
World axes: x to the right, y up, z away from the camera, in metres.
"""
