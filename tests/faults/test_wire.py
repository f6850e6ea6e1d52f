"""The wire between the service and MariaDB: slow, cut, silent, and cut just after a commit."""

from tests.faults.lab import Lab, moment
from tests.faults.load import Load
from tests.faults.proxy import Proxy, behind, recover


def test_wire_slow_cut_and_silent(wired: Lab, proxy: Proxy) -> None:
    lab = wired
    service = behind(lab, proxy)
    with Load(lab, service) as load:
        lab.start(service)
        for _ in range(lab.length(1, 20)):
            for seconds in (0.05, 0.5, 2.0) if lab.is_long else (0.3,):
                began = moment()
                proxy.delay = seconds
                lab.faults[f"each packet {seconds} s late"] += 1
                lab.pause(2, lab.length(3, 10))
                proxy.delay = 0.0
                recover(lab, load, began)
            began = moment()
            proxy.reset()
            lab.faults["every connection reset"] += 1
            recover(lab, load, began)
            began = moment()
            proxy.black = True
            lab.faults["everything swallowed"] += 1
            lab.pause(1, lab.length(2, 20))
            proxy.black = False
            recover(lab, load, began)
    lab.finish()
    load.check()


def test_wire_cut_before_the_answer_to_a_commit(wired: Lab, proxy: Proxy) -> None:
    lab = wired
    service = behind(lab, proxy)
    with Load(lab, service) as load:
        lab.start(service)
        for _ in range(lab.length(3, 50)):
            load.go_on()
            lab.pause(0.0, 0.5)
            began = moment()
            cuts = lab.random.randint(1, 3)
            proxy.cut_commits = cuts
            proxy.wait_for_cuts()
            lab.faults["answers to commits cut"] += cuts
            recover(lab, load, began)
    lab.finish()
    load.check()
