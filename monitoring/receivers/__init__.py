"""Who is told of batches beside the log and the metrics: a server of OpenLineage, one of OTLP."""
