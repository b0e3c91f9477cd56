"""The promises of the parts of the service to each other; those of one system have a page of their own."""

from contracts.batches import (
    CORRUPT,
    ENDS,
    EXAMPLES_EACH,
    BatchKey,
    BatchReport,
    Clock,
    Document,
    FailedWrite,
    Rejected,
    WriteResult,
    end_of,
    ends,
    most,
)
from contracts.errors import (
    AccessDeniedError,
    AlreadyRunningError,
    ConfigurationError,
    DeadLetterError,
    ServiceError,
    UnavailableError,
    UnfitError,
)

__all__ = [
    "CORRUPT",
    "ENDS",
    "EXAMPLES_EACH",
    "AccessDeniedError",
    "AlreadyRunningError",
    "BatchKey",
    "BatchReport",
    "Clock",
    "ConfigurationError",
    "DeadLetterError",
    "Document",
    "FailedWrite",
    "Rejected",
    "ServiceError",
    "UnavailableError",
    "UnfitError",
    "WriteResult",
    "end_of",
    "ends",
    "most",
]
