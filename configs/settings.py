"""Where state lives: `$VITRINA_HOME` and the two addresses that move it to shared servers."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Settings:
    """Locations of all state; read once from the environment at the edge, passed inwards.

    Attributes:
        home: Folder that holds everything the defaults write.
        database_url: SQLAlchemy address of the application database.
        tracking_uri: MLflow tracking and registry address.
        playground: Address at which a browser reaches the service with the playground, for links; None where it is not said.
    """

    home: Path
    database_url: str
    tracking_uri: str
    playground: str | None = None

    @classmethod
    def from_environment(cls) -> "Settings":
        """Read `VITRINA_HOME`, `VITRINA_DATABASE_URL`, `MLFLOW_TRACKING_URI`, `VITRINA_PLAYGROUND`; all embedded by default."""
        home = Path(os.environ.get("VITRINA_HOME", ".vitrina")).expanduser().resolve()
        return cls(
            home=home,
            database_url=os.environ.get("VITRINA_DATABASE_URL") or f"sqlite:///{home / 'vitrina.db'}",
            tracking_uri=os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
            playground=os.environ.get("VITRINA_PLAYGROUND") or None,
        )

    @property
    def artifact_root(self) -> Path:
        """Folder of MLflow artifacts when MLflow is embedded."""
        return self.home / "mlartifacts"

    @property
    def reports(self) -> Path:
        """Folder of the HTML reports that people open."""
        return self.home / "reports"
