"""The admin port: what a process tells of itself to orchestrators and monitoring. It changes nothing."""
