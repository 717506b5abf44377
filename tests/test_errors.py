"""The tree of errors, which the docstring of ptxbench/errors.py draws."""

import re

from ptxbench import errors


def drawn_classes():
    """(class, base, exit status) for each line of the tree; a class has its base's exit status by default."""
    bases, status = [], {}
    for line in errors.__doc__.splitlines():
        if not (drawn := re.match(r"([│├└─ ]*)([A-Z]\w+) {2,}(?:exit status )?(?:(\d)\b)?", line)):
            continue
        depth, name = len(drawn[1]) // 4, drawn[2]
        bases[depth:] = [name]
        base = bases[depth - 1] if depth else "Exception"
        status[name] = int(drawn[3]) if drawn[3] else status[base]
        yield name, base, status[name]


def test_the_tree_of_errors_has_every_class_below_its_base_with_its_exit_status():
    classes = [error for error in vars(errors).values() if isinstance(error, type)]
    defined = {
        (error.__name__, error.__bases__[0].__name__, int(error.exit_status))
        for error in classes
        if issubclass(error, errors.PtxbenchError)
    }
    assert set(drawn_classes()) == defined
