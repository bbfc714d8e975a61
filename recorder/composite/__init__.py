"""Composites: one film of a recording, made from its participants' stored files.

What is public needs neither PyAV nor numpy: `parse_options` and `RenderSpec` for those who ask for
a render. The rendering itself is a process of its own, `recorder.render`.
"""

from recorder.composite.spec import RenderOptions, RenderSource, RenderSpec, parse_options

__all__ = ["RenderOptions", "RenderSource", "RenderSpec", "parse_options"]
