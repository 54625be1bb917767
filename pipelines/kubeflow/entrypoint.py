"""How the pod of a step begins: with the code of its image, and without what only other people's steps need."""

from pathlib import Path

from zenml.entrypoints import StepEntrypointConfiguration
from zenml.utils import source_utils


class StepEntrypoint(StepEntrypointConfiguration):
    """ZenML's own imports every integration that is installed, which takes many seconds, and wants to write to `/app`."""

    def run(self) -> None:
        """Run the step."""
        self.prepare_code_environment()
        self._run_step(step=self.step, snapshot=self.snapshot)

    def prepare_code_environment(self) -> None:
        """Steps lie beside this file; nothing is downloaded."""
        source_utils.set_custom_source_root(str(Path(__file__).parents[2]))
