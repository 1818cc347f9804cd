"""Orders in MariaDB and in PostgreSQL, and a checksum that does not depend on Coracle.

Each database turns each row into the same canonical text and adds up the MD5 sums of those texts,
so that equal counts and sums mean equal sets of rows.
"""

from typing import Any

from tests.servers.database import Database

SEPARATOR = "\x1f"

CREATE = """
CREATE TABLE orders (
  id BIGINT AUTO_INCREMENT PRIMARY KEY,
  customer INT NOT NULL,
  city VARCHAR(60) NOT NULL,
  amount DECIMAL(12,2) NOT NULL,
  weight DOUBLE NOT NULL,
  gift BOOLEAN NOT NULL,
  placed DATETIME(3) NOT NULL,
  delivered DATE NULL,
  note VARCHAR(200) NULL,
  label VARBINARY(16) NOT NULL
)
"""

# Every third order is not delivered, every fifth has a note. Weights are eighths: both databases
# print those alike.
FILL = """
INSERT INTO orders (customer, city, amount, weight, gift, placed, delivered, note, label)
SELECT seq % 9973, ELT(1 + seq % 4, 'Reykjavík', 'Köln', '東京', 'Oslo 🚣'),
  (seq * 7919 % 10000000) / 100 - 5000, (CAST(seq AS SIGNED) % 1001 - 500) / 8, seq % 2,
  '2024-02-28 23:59:59.125' + INTERVAL seq SECOND + INTERVAL seq % 1000 * 1000 MICROSECOND,
  IF(seq % 3 = 0, NULL, '2000-02-29' + INTERVAL seq % 20000 DAY),
  IF(seq % 5 = 0, CONCAT('line one\\nline "', seq, '", \\\\ and \\t'), NULL),
  UNHEX(MD5(seq))
FROM seq_1_to_{rows}
"""

_MARIADB_TEXT = (
    r"CONCAT_WS('{separator}', id, customer, city, amount, weight, gift, "
    r"DATE_FORMAT(placed, '%Y-%m-%d %H:%i:%s.%f'), "
    r"COALESCE(DATE_FORMAT(delivered, '%Y-%m-%d'), 'null'), COALESCE(note, 'null'), "
    r"LOWER(HEX(label)))"
)
_POSTGRES_TEXT = (
    r"concat_ws(E'{separator}', id, customer, city, amount, weight, gift, "
    r"to_char(placed, 'YYYY-MM-DD HH24:MI:SS.US'), "
    r"coalesce(to_char(delivered, 'YYYY-MM-DD'), 'null'), coalesce(note, 'null'), "
    r"encode(label, 'hex'))"
)


def fill(mariadb: Database[Any], rows: int) -> None:
    """Make the table `orders` and its rows."""
    mariadb.sql(CREATE)
    mariadb.sql(FILL.format(rows=rows))


def source_checksum(mariadb: Database[Any]) -> str:
    """Count and checksum of the orders in MariaDB."""
    text = _MARIADB_TEXT.format(separator=SEPARATOR)
    return mariadb.sql(
        f"SELECT COUNT(*), SUM(CAST(CONV(LEFT(MD5({text}), 15), 16, 10) AS DECIMAL(30))) "
        "FROM orders"
    )


def target_checksum(postgres: Database[Any], table: str) -> str:
    """Count and checksum of the orders in PostgreSQL."""
    text = _POSTGRES_TEXT.format(separator=SEPARATOR)
    return postgres.sql(
        f"SELECT count(*), sum(('x' || left(md5({text}), 15))::bit(60)::bigint) FROM {table}"
    )


def count(postgres: Database[Any], table: str) -> int:
    """How many rows a table has, 0 when it is not there."""
    if postgres.sql(f"SELECT to_regclass('{table}')") == "":
        return 0
    return int(postgres.sql(f"SELECT count(*) FROM {table}"))
