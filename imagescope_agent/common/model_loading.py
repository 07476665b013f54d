"""One model at a time is loaded in a process, together with the packages that loading imports.

transformers, timm and open_clip import their modules when they are first used, and those import each other in circles.
Of two threads in such a circle Python lets one see a half imported module: "cannot import name 'AutoConfig'".
"""

from __future__ import annotations

import threading

#: Held while a model is loaded; reentrant, since a model may load another.
LOADING = threading.RLock()
