"""What a demo's sender knows of its own records."""

from __future__ import annotations


class Counted:
    """Another program that sends to a pipeline, as `pipelines.engine.demo_rig.Sender` asks.

    `good` is how many different records it sent that count, `again` how many once more, `bad` how many that
    are to be refused. While it `is_paused` it sends nothing by itself.
    """

    def __init__(self) -> None:
        self.good = self.again = self.bad = 0
        self.is_paused = False

    @property
    def sent(self) -> dict[str, int]:
        """How many it sent, by the end that each is to have (`contracts.ENDS`)."""
        return {"written": self.good, "duplicate": self.again, "refused": self.bad}

    @property
    def records(self) -> int:
        """How many it sent."""
        return self.good + self.again + self.bad
