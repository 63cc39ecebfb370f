"""Why a model decided so: what each part of an example adds. Numpy alone; models are handed in as functions.

A module says for each kind of input what its parts are, and what an example looks like without some of them: `words`,
`columns`, `patches`; `shapley` shares out what they do together, `explanation` holds the shares, `judging` asks whether
they tell the truth, `importance` what a column counts over many rows. How it is shown is the affair of `console` and
`report`.
"""
