"""Tables to topics and topics to tables, configured like Confluent's and Aiven's connectors."""
