"""Draw the images of docs/images/ anew: those that the first run of the README leaves.

python scripts/draw_images.py            into docs/images/
python scripts/draw_images.py FOLDER     elsewhere
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from snnlab.commands import main as snnlab
from snnlab.files import write_bytes

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"


def main() -> int:
    """Train, and copy the run's plots."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else IMAGES
    with tempfile.TemporaryDirectory() as temporary:
        code = snnlab(["train", f"output_dir={temporary}/run"])
        for image in sorted(Path(temporary, "run", "plots").glob("*.png")):
            write_bytes(folder / image.name, image.read_bytes())
            print(folder / image.name)
    return code


if __name__ == "__main__":
    sys.exit(main())
