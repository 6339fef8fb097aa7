"""The two 3D animations of the demo, made by code: a grand piano that plays, and a band.

`score`, `keyboard` and `rhythm` say what moves when, and need only the standard library; the other modules
build and render the scenes with Blender as a Python module (`bpy`) in an environment of its own.
"""
