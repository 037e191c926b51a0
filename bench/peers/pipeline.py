"""What teams run by hand: a train script that leaves its model in a registry folder. python pipeline.py TOML REGISTRY"""

import shutil
import sys
from pathlib import Path

from vernal.app import Workspace
from vernal.training.train import train

with Workspace.open(Path(sys.argv[1])) as workspace:
    release, _ = train(workspace, promote=False)
    shutil.copytree(release.path, Path(sys.argv[2]) / release.name)
print(release.name)
