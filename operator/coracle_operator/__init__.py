"""The operator: watches KafkaConnector resources and runs their task pods. Still to come."""
