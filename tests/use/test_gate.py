import threading
import time

from ismila.use.gate import Gate


def test_many_are_inside_beside_each_other_or_one_alone():
    gate = Gate()
    inside = []
    seen = []

    def work(name):
        inside.append(name)
        seen.append(tuple(inside))
        time.sleep(0.02)
        inside.remove(name)

    def work_alone():
        with gate.alone():
            work("alone")

    threads = [threading.Thread(target=gate.beside, args=(work, at)) for at in range(6)]
    threads.insert(3, threading.Thread(target=work_alone))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(seen) == 7 and ("alone",) in seen
    assert max(map(len, seen)) > 1
    assert not [names for names in seen if "alone" in names and len(names) > 1]


def test_who_wants_to_be_alone_is_not_overtaken_for_ever():
    gate = Gate()
    stopped = threading.Event()

    def keep_busy():
        while not stopped.is_set():
            gate.beside(time.sleep, 0.01)

    threads = [threading.Thread(target=keep_busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    started = time.monotonic()
    with gate.alone():
        waited_s = time.monotonic() - started
    stopped.set()
    for thread in threads:
        thread.join(10)
    assert waited_s < 5


def test_an_error_lets_the_others_in_again():
    gate = Gate()
    for _ in range(2):
        try:
            gate.beside(int, "no number")
        except ValueError:
            continue
    with gate.alone():
        pass
    assert gate.beside(int, "1") == 1
