"""Tells Hydra where else configuration may lie: conf/ of the working folder, and of plugins."""

from __future__ import annotations

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin

import snnlab
from snnlab import registry


class SnnlabSearchPath(SearchPathPlugin):
    """Appends, so that snnlab's own files come first."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        """Called by Hydra before it composes."""
        package = Path(snnlab.__file__).parent
        ours = {str(folder / "conf") for folder in (package, package.parent)}
        if not any(str(element.path).removeprefix("file://") in ours for element in search_path.get_path()):
            return  # another application that Hydra runs in the same environment
        folders = [Path.cwd(), *registry.plugin_folders()]
        for folder in folders:
            if (folder / "conf").is_dir():
                search_path.append("snnlab-user", f"file://{(folder / 'conf').resolve()}")
