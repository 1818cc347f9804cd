"""Made-up records, for demonstrations and load tests."""
