"""Files to arrays, safely: the allow-list unpickler, hand model files, and network weights.

Import from the modules: `unpickling`, `hand_files`, `weights`.
"""
