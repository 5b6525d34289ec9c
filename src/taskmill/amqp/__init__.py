"""RabbitMQ: connections that reconnect, declarations, publishing. It knows nothing of tasks."""
