"""The parts of the JDBC sink: from records to tables.

A call of ``put`` goes through them in this order:

    routing     topic → table
    layout      (table, schemas) → columns, where each value comes from        once per schema
    gathering   batches → one group of records per (table, schemas)            once per put
    ordering    groups → the order in which they may be written                once per put
    structure   table → its real columns, created or altered if asked          once per schema
    encoding    values → what the driver takes for that column                 a column at a time
    writers     rows → the database, each in its fastest way                   a group at a time

Nothing here runs per record in Python unless a column must be converted.
"""
