"""Whether training can use a file: every sample examined, counted and drawn.

Import from the modules: `tars` and `arrays` examine files, `sample_checks` one hand, `report` says what was found, `drawing`
shows it.
"""
