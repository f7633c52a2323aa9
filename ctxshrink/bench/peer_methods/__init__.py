"""Other packages' methods in the bench, each in a process and, where wanted, an environment of its own.

Where to look:
- `spec`: the registry, what each is run on and with which settings;
- `runner`, `measure`: a peer that is ready to run, and one record under it;
- `search`: the setting that meets the budget;
- `peer_process` and ``workers/``: the protocol, one small file for each package;
- `start`: from names and paths to runners;
- `cases`: the public cases of compactbench as a data set.
"""

from .measure import measure_peer
from .runner import PeerRunner
from .spec import PEERS, PeerSpec
from .start import check_names, start

__all__ = ["PEERS", "PeerRunner", "PeerSpec", "check_names", "measure_peer", "start"]
