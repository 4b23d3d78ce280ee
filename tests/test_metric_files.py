"""The files that processes count in: what the dead counted is kept once, in few files."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

from prometheus_client import REGISTRY
from prometheus_client.mmap_dict import mmap_key

from payment_service.telemetry import metrics
from payment_service.telemetry.metric_files import ADDED, MANIFEST, Counts, fold, merged
from tests.sandbox_server import ROOT

COUNTED = mmap_key("things", "things_total", [], [], "Things")
BUCKET = mmap_key("seconds", "seconds_bucket", ["le"], ["1.0"], "Seconds")
SUM = mmap_key("seconds", "seconds_sum", [], [], "Seconds")
LIVE = mmap_key("state", "state", [], [], "State")
GAUGE = mmap_key("errors", "errors", [], [], "Errors")


def counted(directory: Path, file: str, **values: float) -> Counts:
    """A file of a process that still lives."""
    counts = Counts(str(directory / file))
    keys = {"things": COUNTED, "bucket": BUCKET, "sum": SUM, "live": LIVE, "gauge": GAUGE}
    for name, value in values.items():
        counts.write_value(keys[name], value, 0.0)
    return counts


def said(directory: Path) -> dict[str, float]:
    return {sample.name: sample.value for family in merged(directory) for sample in family.samples}


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.glob("*.db")}


def test_the_dead_are_folded_and_the_living_left(tmp_path: Path) -> None:
    living = counted(tmp_path, "counter_1.db", things=1)
    (lives,) = files(tmp_path)
    for pid in (2, 3):
        counted(tmp_path, f"counter_{pid}.db", things=10).close()
        counted(tmp_path, f"histogram_{pid}.db", bucket=4, sum=2.5).close()
        counted(tmp_path, f"gauge_sum_{pid}.db", gauge=3).close()
        counted(tmp_path, f"gauge_livemax_{pid}.db", live=2).close()
    counted(tmp_path, "counter_4.db").close()  # it died at once
    (tmp_path / "counter_5-0.new").touch()  # this one even before its file had a name
    stands = {
        "things_total": 21,
        "seconds_bucket": 8,
        "seconds_count": 8,
        "seconds_sum": 5,
        "errors": 6,
    }
    assert said(tmp_path) == {**stands, "state": 2}
    for turn in (1, 2):
        fold(tmp_path)
        assert said(tmp_path) == stands
        folded = {f"{kind}_folded-1.db" for kind in ("counter", "gauge_sum", "histogram")}
        assert files(tmp_path) == {lives, *folded}, turn
    living.write_value(COUNTED, 2, 0.0)
    counted(tmp_path, "counter_2.db", things=100).close()  # a number that comes again
    fold(tmp_path)
    living.close()
    fold(tmp_path)
    assert said(tmp_path)["things_total"] == 122
    assert len(files(tmp_path)) == 3


def test_a_scrape_beside_folds_is_neither_short_nor_double(tmp_path: Path) -> None:
    """Processes die as fast as they can; each counts one."""
    died, stop = [0], threading.Event()
    wrong: list[tuple[int, float, int]] = []

    def scrape() -> None:
        while not stop.is_set():
            least = died[0]
            value = said(tmp_path).get("things_total", 0)
            if not least <= value <= died[0] + 1:
                wrong.append((least, value, died[0]))

    def keep_folding() -> None:
        while not stop.is_set():
            fold(tmp_path)
            stop.wait(0.005)

    threads = [threading.Thread(target=f) for f in (scrape, scrape, keep_folding, keep_folding)]
    for thread in threads:
        thread.start()
    for pid in range(1, 301):
        counts = counted(tmp_path, f"counter_{pid % 7}.db", things=1)  # numbers come again
        died[0] += 1
        counts.close()
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    fold(tmp_path)
    assert said(tmp_path) == {"things_total": 300}
    assert len(files(tmp_path)) == 1


def test_a_fold_that_was_killed_is_finished_by_the_next(tmp_path: Path) -> None:
    """After the manifest said so, and before the files were gone; and a moment earlier. A process
    that has the number of one whose file was being taken has a file of its own."""
    counted(tmp_path, "counter_1.db", things=5).close()
    (taken,) = files(tmp_path)
    kept = (tmp_path / taken).read_bytes()
    fold(tmp_path)
    manifest = json.loads((tmp_path / MANIFEST).read_text())
    (tmp_path / MANIFEST).write_text(json.dumps({**manifest, "taken": [taken]}))
    (tmp_path / taken).write_bytes(kept)
    (tmp_path / "counter_folded-2.db").write_bytes(kept)
    assert said(tmp_path) == {"things_total": 5}
    again = counted(tmp_path, "counter_1.db", things=1)
    assert said(tmp_path) == {"things_total": 6}
    fold(tmp_path)
    assert said(tmp_path) == {"things_total": 6}
    (lives,) = files(tmp_path) - {"counter_folded-1.db"}
    assert lives != taken
    again.close()


def test_the_bytes_of_a_file_are_really_there(tmp_path: Path) -> None:
    """A sparse one ends its process on a full disk. It grows with what is counted."""
    counts = counted(tmp_path, "counter_1.db")
    for number in range(2000):
        counts.write_value(mmap_key("many", "many_total", ["n"], [str(number)], "Many"), 1, 0.0)
    (file,) = tmp_path.glob("*.db")
    stat = file.stat()
    assert stat.st_size >= 128 * 1024
    assert stat.st_blocks * 512 >= stat.st_size
    counts.close()
    assert len(merged(tmp_path)[0].samples) == 2000


def test_every_metric_of_ours_can_be_folded() -> None:
    """Another kind of gauge needs a rule of its own in fold()."""
    mode = {"gauge": "gauge_{}", "counter": "counter", "histogram": "histogram"}
    for collector in {
        collector
        for collector in REGISTRY._collector_to_names
        if type(collector).__module__ == "prometheus_client.metrics"
    }:
        kind = mode[collector._type].format(getattr(collector, "_multiprocess_mode", ""))
        assert kind in ADDED or kind.startswith("gauge_live"), collector
    assert metrics.CONTRADICTED in REGISTRY._collector_to_names


def test_without_a_folder_that_can_be_written_it_counts_by_itself(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    script = (
        "from payment_service.telemetry import metrics\n"
        "metrics.CONTRADICTED.inc(3)\n"
        "print(metrics.CONTRADICTED._value.get())"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={"PROMETHEUS_MULTIPROC_DIR": str(tmp_path / "file" / "folder"), "PATH": ""},
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "3.0"
    assert "metrics_have_no_room" in done.stdout
