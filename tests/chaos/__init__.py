"""Chaos: processes that play agents against one store are killed, and nothing may be lost.

    python tests/chaos/run.py --store sqlite --seconds 600 --seed 1
    python tests/chaos/run.py --store postgresql --seconds 600 --seed 1
    python tests/chaos/run.py --store sqlite --seconds 8 --build row-by-row

The second form of the same command, with `tests` on the path, is `python -m chaos`. It prints one
table, and ends with 1 where a column of faults is not zero, or too little was killed or done for
the time that it ran. A seed gives the same schedule and the same choices again; when exactly a
process dies is the machine's to say.

`supervisor` kills, stops and restarts; `worker` is what it kills; `endpoint` is the sink and the
mailer, which outlive everybody; `checker` reads what they received and what the store holds, and
imports nothing of the library.

Beside it, `walk` dies at every statement that a step, a timer, a relay round and the like send:

    python -m chaos.walk sqlite accept FOLDER
"""
