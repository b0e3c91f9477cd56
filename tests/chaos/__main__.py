"""`script/crashtest`: crash loops from the command line."""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.chaos.crash_loop import CrashTest, LoopFailedError
from tests.chaos.servers import exit_in_order_on_sigterm
from tests.chaos.workloads import WORKLOADS, opened


def main() -> int:
    """0 when all loops passed, 1 when one failed (its folder is kept), 2 when the servers cannot be had."""
    parser = argparse.ArgumentParser(prog="script/crashtest", description=__doc__)
    parser.add_argument("--pipeline", choices=WORKLOADS, default="health", help="which one (health)")
    parser.add_argument("--loops", type=int, default=20, help="how many loops (20)")
    parser.add_argument(
        "--seed", type=int, help="of the first loop; the next ones count up (default: random)"
    )
    parser.add_argument("--fault", help="how the job is first armed, as a failed loop says")
    arguments = parser.parse_args()
    exit_in_order_on_sigterm()
    seed = random.SystemRandom().randrange(10**6) if arguments.seed is None else arguments.seed
    folder = Path(tempfile.mkdtemp(prefix="crashtest-"))
    try:
        passed = _run(arguments.pipeline, folder, seed, arguments.loops, arguments.fault)
    except RuntimeError as error:
        _say(f"the servers cannot be had: {error}")
        return 2
    if not passed:
        return 1
    shutil.rmtree(folder)
    return 0


def _run(pipeline: str, folder: Path, seed: int, loops: int, fault: str | None) -> bool:
    _say(f"{loops} loops of {pipeline} from seed {seed}")
    with opened(pipeline, folder, seed) as work:
        test = CrashTest(work, seed, _say)
        try:
            test.run(loops, fault)
        except LoopFailedError as error:
            _say(f"❌ {error}\nthe job's folder: {folder}")
            _keep(work.data, folder)
            return False
        finally:
            for line in test.tally.lines(work.data):
                _say(line)
    _say("✅ nothing was lost")
    return True


def _keep(data: Path, folder: Path) -> None:
    """What lies on the job's disk, which is not kept."""
    shutil.copytree(data, folder / "kept", symlinks=True, ignore=shutil.ignore_patterns("filler"))


def _say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    sys.exit(main())
