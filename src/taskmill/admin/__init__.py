"""The admin port: what a process reports to orchestrators and monitoring. It changes nothing."""
