"""Tables to topics and topics to tables, with the configuration of Confluent's and Aiven's JDBC connectors."""
