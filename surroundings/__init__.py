"""What is around the service and decides whether Spark starts: looked at before, told where it does not."""
