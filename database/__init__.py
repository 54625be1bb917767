"""The application database: tables, migrations, sessions."""
