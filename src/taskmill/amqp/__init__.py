"""RabbitMQ: connections that come back, what is declared there, publishing. It knows nothing of tasks."""
