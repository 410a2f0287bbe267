"""Run the benchmarks: `python tests/benchmarks/run.py --help`.

Those of stores, timers and recovery: `run.py --durable [--store sqlite|postgresql|all]
[--rounds N] [--only steps|timers|recovery|stored] [--quick]`. They put up to 2 GB into the folder
for temporary files (`TMPDIR`), which must be on a disk, and take about 20 minutes.
"""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where `benchmarks` is
runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
