"""How often the gate is wrong: its own rules, applied to runs with a known answer.

`synthetic`: seeded noise, with and without a slowdown, through the rule of ratios and times. `stored`: runs of
unchanged code compared with each other. `mutants`: shipped pairs made worse in a known way, through the counter rules.
"""
