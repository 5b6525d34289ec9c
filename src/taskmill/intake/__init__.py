"""The intake role: creation messages from RabbitMQ become tasks, or rejections."""
