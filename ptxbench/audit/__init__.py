"""How often the gate is wrong: its own rules, tried on runs whose truth is known.

`synthetic`: seeded noise, with and without a slowdown, through the rule of ratios and times. `stored`: runs of
unchanged code against each other. `mutants`: shipped pairs made worse in a known way, through the rule of counters.
"""
