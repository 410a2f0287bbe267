"""Run the benchmarks: `python tests/benchmarks/run.py --help`."""

import runpy
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # where `benchmarks` is
runpy.run_module("benchmarks", run_name="__main__", alter_sys=True)
