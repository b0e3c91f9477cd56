"""What is around the service and decides whether Spark starts: looked at before, and told where it does not."""
