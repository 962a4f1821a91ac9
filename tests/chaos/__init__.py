"""The proof by killing: calls in flight, a process that dies at a named step, and the phones' own log as the judge.

`python3 dev.py chaos N [--seed S]` makes N kills. Everything random in kill k follows from its seed, S + k.
"""
