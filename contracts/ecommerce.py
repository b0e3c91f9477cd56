"""The files of the e-commerce pipeline."""

from __future__ import annotations

# The columns of the e-commerce pipeline's CSV files, in their order.
EVENT_COLUMNS = (
    "event_id",
    "user_id",
    "product_id",
    "product_name",
    "product_category",
    "event_type",
    "price",
    "event_timestamp",
)
# A longer record of a file is refused, and kept cut to one byte more.
MAX_RECORD_BYTES = 65_536
