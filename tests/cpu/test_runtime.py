"""Threads, processors and processes: the same bits whoever computes them."""

import ctypes
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest

import facula as torch
from facula.cpu import runtime

TRAIN = textwrap.dedent(
    """
    import hashlib
    import facula as torch
    from facula import nn

    def prepare():
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(2, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
            nn.Linear(96, 40), nn.LayerNorm(40), nn.Tanh(), nn.Linear(40, 5),
        )
        return net, torch.randn(33, 2, 8, 8), torch.randint(5, (33,))

    def fit(net, x, y):
        optimizer = torch.optim.Adam(net.parameters())
        for _ in range(4):
            loss = nn.functional.cross_entropy(net(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        digest = hashlib.sha256()
        for p in net.parameters():
            digest.update(p.detach().numpy().tobytes())
        return digest.hexdigest(), loss.item()

    def train():
        return fit(*prepare())
    """
)
space: dict = {}
exec(TRAIN, space)  # the same program here and in other processes
prepare, fit, train = space["prepare"], space["fit"], space["train"]


@pytest.fixture(autouse=True)
def _compiled(monkeypatch):
    from facula.interpreter import program

    monkeypatch.setattr(program, "COMPILE_AFTER", 0)


def in_a_process(code: str = "print(*train())", **env: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", TRAIN + code],
        env={**os.environ, "FACULA_COMPILE_AFTER": "0"} | env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_any_number_of_threads_gives_the_same_bits():
    before = torch.get_num_threads()
    found = set()
    try:
        for n in (1, 2, 3, 7):
            torch.set_num_threads(n)
            assert torch.get_num_threads() == n
            found.add(train())
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_two_runs_give_the_same_bits():
    assert in_a_process(OMP_NUM_THREADS="1") == in_a_process(OMP_NUM_THREADS="2")


def test_two_python_threads_at_once():
    alone = train()
    found: list = []
    prepared = [prepare() for _ in range(3)]  # the seed is the process's: drawn one after the other
    torch.synchronize()
    threads = [threading.Thread(target=lambda p=p: found.append(fit(*p))) for p in prepared]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert found == [alone] * 3


def test_two_python_threads_that_compile():
    """Each a network of its own, nothing of which is on disk."""
    code = textwrap.dedent(
        """
        import sys, threading
        from facula.cpu import jit

        sys.setswitchinterval(1e-5)
        WIDTHS = (31, 37)

        def net(width):
            torch.manual_seed(width)
            net = nn.Sequential(nn.Linear(9, width), nn.GELU(), nn.LayerNorm(width))
            return net, torch.randn(8, 9), torch.randint(width, (8,))

        prepared = [net(n) for n in WIDTHS]
        found = {}
        threads = [
            threading.Thread(target=lambda n=n, p=p: found.update({n: fit(*p)}))
            for n, p in zip(WIDTHS, prepared)
        ]
        torch.synchronize()
        [t.start() for t in threads]
        [t.join() for t in threads]
        print([found.get(n) for n in WIDTHS] == [fit(*net(n)) for n in WIDTHS])
        """
    )
    assert in_a_process(code, FACULA_CACHE_DIR="") == ["True"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_after_fork_computes_too():
    code = textwrap.dedent(
        """
        import os, warnings
        first = train()
        r, w = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # Python's, of threads and fork
            child = os.fork()
        if not child:
            os.write(w, train()[0].encode())
            os._exit(0)
        os.waitpid(child, 0)
        print(os.read(r, 100).decode() == first[0] == train()[0])
        """
    )
    assert in_a_process(code) == ["True"]


@pytest.mark.parametrize(
    ("name", "features"), [("haswell", "+avx2,+fma"), ("x86-64", "+sse2"), ("x86-64-v2", "+sse4.2")]
)
def test_lesser_processors(name, features):
    import platform

    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("these are features of x86 processors")
    _, loss = in_a_process(FACULA_CPU=name, FACULA_CPU_FEATURES=features)
    assert float(loss) == pytest.approx(train()[1], rel=1e-4)


def test_bad_numbers_of_threads():
    with pytest.raises(RuntimeError, match="positive"):
        torch.set_num_threads(0)
    with pytest.raises(RuntimeError, match="int"):
        torch.set_num_threads(1.5)


def test_workers_sleep_and_wake():
    train()
    assert runtime.get_num_threads() >= 1
    import time

    time.sleep(0.01)  # longer than a worker spins
    assert train() == train()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="others sleep by the clock")
def test_a_worker_that_missed_a_call_sleeps():
    """It would keep a processor busy until the next call otherwise."""
    pool = runtime.Pool(1)
    try:
        state = (ctypes.c_int32 * 97).from_address(pool.state)
        state[0] += 2  # opened and closed before the worker looked
        for _ in range(50):
            time.sleep(0.01)
            asleep = [state[96] for _ in range(200) if time.sleep(0.0001) is None]
            if set(asleep) == {1}:
                break
        assert set(asleep) == {1}
    finally:
        pool.stop()


def test_long_programs_are_always_shared():
    long, short = runtime.Sharing(), runtime.Sharing()
    for sharing, seconds in ((long, 2 * runtime.LONG), (short, runtime.LONG / 100)):
        sharing.note(True, seconds)
        sharing.note(False, 2 * seconds)
    assert all([long.wanted() for _ in range(64)])
    assert not all([short.wanted() for _ in range(64)])


def choices(sharing, together, alone, count):
    """Which of the next runs are shared, when they take these seconds and some are held up."""
    chosen = []
    for k in range(count):
        shared = sharing.wanted()
        chosen.append(shared)
        slow = 20 if k < 2 or k % 37 == 0 else 1
        sharing.note(shared, slow * (together if shared else alone))
    return chosen


@pytest.mark.parametrize(
    "together, alone", [(3e-4, 5e-4), (5e-4, 3e-4), (3e-4, 3.3e-4), (3.3e-4, 3e-4)]
)
def test_what_is_better_is_found_out_in_spite_of_slow_runs(together, alone):
    good = [c is (together < alone) for c in choices(runtime.Sharing(), together, alone, 2100)]
    assert sum(good[24:]) > 0.9 * len(good[24:])
    assert not all(good[24:])  # it is tried again


def test_what_is_clearly_better_is_hardly_tried_again():
    assert choices(runtime.Sharing(), 3e-4, 5e-4, 1000).count(False) == 4


def test_a_machine_that_becomes_busy_is_noticed():
    sharing = runtime.Sharing()
    choices(sharing, 3e-4, 5e-4, 500)
    assert choices(sharing, 2e-3, 5e-4, 100)[16:].count(True) <= 8
    assert choices(sharing, 3e-4, 5e-4, 1000)[300:].count(False) <= 8


@pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2,
    reason="a second processor, and a system that says which threads may use it",
)
def test_workers_keep_off_the_processor_of_their_caller():
    code = """
    import os, sys
    import facula as torch
    from facula.cpu import runtime

    here = set(os.listdir("/proc/self/task"))
    allowed = os.sched_getaffinity(0)
    pool = runtime.Pool(2)
    workers = set(os.listdir("/proc/self/task")) - here
    table = (runtime.ctypes.c_int64 * 4)()
    empty = runtime.Call(runtime.ctypes.addressof(table), 0, True)
    for cpu in sorted(allowed)[:2]:
        os.sched_setaffinity(0, {cpu})
        pool.call(empty)
        assert [os.sched_getaffinity(int(w)) for w in workers] == [allowed - {cpu}] * 2
    pool.stop()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True
    )
    assert not done.returncode, done.stderr


def test_where_the_system_starts_no_more_threads_fewer_run_a_program(monkeypatch):
    libc, started = ctypes.CDLL(None), []

    class Full:
        """The C library of a system that has room for one thread more."""

        pthread_join = libc.pthread_join

        @staticmethod
        def pthread_create(*args):
            return 11 if started else started.append(libc.pthread_create(*args)) or started[0]

    libc.pthread_create.argtypes = [ctypes.c_void_p] * 4
    alone = train()
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        with monkeypatch.context() as m:
            m.setattr(ctypes, "CDLL", lambda name: Full)
            with pytest.warns(RuntimeWarning, match="no more threads, so 2 and not 4"):
                assert train() == alone
        assert runtime._pool.workers == 1
    finally:
        torch.set_num_threads(before)
    assert train() == alone


def test_a_call_that_could_not_begin_gives_the_workers_back(monkeypatch):
    """An error where native code is about to be called, as at the limit of recursion."""
    w, x = torch.zeros(64, 64, requires_grad=True), torch.full((64, 64), 0.1)

    def step():
        (x @ w).tanh().sum().backward()
        with torch.no_grad():
            w.sub_(1e-3 * w.grad)
        w.grad = None

    def refused(*args):
        raise KeyboardInterrupt

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for _ in range(12):  # some alone, some shared, some that are not waited for
            step()
        want = w.tolist()
        for in_flight in (False, True):
            with torch.no_grad():
                w.zero_()
            for _ in range(12):
                step()
                with monkeypatch.context() as m, pytest.raises(KeyboardInterrupt):
                    m.setattr(runtime, "_launch", refused)
                    w.exp() if in_flight else torch.synchronize()
                assert not runtime._turn
            assert w.tolist() == want
    finally:
        torch.set_num_threads(before)
