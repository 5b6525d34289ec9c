"""PostgreSQL and RabbitMQ for `taskmill up` and the tests; it knows nothing about tasks."""
