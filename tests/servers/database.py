"""A database made for one test on a running server."""

from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class DatabaseServer(Protocol):
    """What `Database` needs of its server."""

    port: int

    def sql(self, statements: str, database: str = ...) -> str:
        """Run SQL as the administrator; rows come as lines of tab-separated fields."""
        ...


S = TypeVar("S", bound=DatabaseServer)


@dataclass(frozen=True)
class Database(Generic[S]):
    """A fresh database and the user that owns it.

    Attributes:
        server: The server it lives on, to stop, start, pause and resume.
        scheme: Scheme of its URLs, `postgresql` or `mariadb`.
        database: Its name.
        user: The owner's name.
        password: The owner's password.
        host: Where to connect; a literal address.
    """

    server: S
    scheme: str
    database: str
    user: str
    password: str = field(repr=False)
    host: str = "127.0.0.1"

    @property
    def port(self) -> int:
        """The server's TCP port."""
        return self.server.port

    @property
    def jdbc_url(self) -> str:
        """JDBC URL without user and password, for `connection.url`."""
        return f"jdbc:{self.scheme}://{self.host}:{self.port}/{self.database}"

    @property
    def dsn(self) -> str:
        """URL with user and password, as drivers take it."""
        return (
            f"{self.scheme}://{self.user}:{self.password}@{self.host}:{self.port}/{self.database}"
        )

    def sql(self, statements: str) -> str:
        """Run SQL in this database as the server's administrator, synchronously.

        Returns:
            The rows, one per line, fields separated by tabs, NULL as the client prints it.
        """
        return self.server.sql(statements, self.database)
