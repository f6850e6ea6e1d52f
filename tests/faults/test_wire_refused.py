"""The wire between the service and MariaDB ends each new connection at once, for some time."""

from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.proxy import Proxy, behind, recover


def test_wire_refused(wired: Lab, proxy: Proxy) -> None:
    lab = wired
    service = behind(lab, proxy)
    with Load(lab, service) as load:
        lab.start(service)
        for _ in range(lab.length(1, 20)):
            load.go_on()
            began = moment()
            proxy.refuse = True
            proxy.reset()
            lab.faults["every connection reset, and each new one"] += 1
            lab.pause(1, lab.length(2, 5))
            proxy.refuse = False
            recover(lab, load, began)
    lab.finish()
    load.check()
