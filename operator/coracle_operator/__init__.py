"""The operator: watches KafkaConnector resources and runs their task pods. Its work is still to come."""
