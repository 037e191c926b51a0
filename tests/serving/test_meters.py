from vernal.serving.meters import BUCKETS_S, Gauge, Layout, Meter, Meters, Value

TABLE = [Meter("asked_total", "calls", {"rung": ("full", "static")}), Meter("took_seconds", "time", {"route": ("a", "b")}, histogram=True)]


def two_processes(folder):
    return Meters(folder, "api-0", Layout(TABLE)), Meters(folder, "api-1", Layout(TABLE))


def test_any_process_answers_with_the_sum_over_all(tmp_path):
    one, two = two_processes(tmp_path)
    one.count("asked_total", "full", by=2)
    two.count("asked_total", "full")
    assert one.total("asked_total", "full") == two.total("asked_total", "full") == 3


def test_a_restarted_process_goes_on_counting(tmp_path):
    Meters(tmp_path, "api-0", Layout(TABLE)).count("asked_total", "full")
    again = Meters(tmp_path, "api-0", Layout(TABLE))
    again.count("asked_total", "full")
    assert again.total("asked_total", "full") == 2


def test_a_file_of_another_layout_is_begun_anew(tmp_path):
    Meters(tmp_path, "api-0", Layout(TABLE[:1])).count("asked_total", "full")
    assert Meters(tmp_path, "api-0", Layout(TABLE)).total("asked_total", "full") == 0


def test_buckets_of_a_histogram_are_cumulative_and_end_in_the_count(tmp_path):
    one, two = two_processes(tmp_path)
    one.observe("took_seconds", "b", seconds=0.0004)
    two.observe("took_seconds", "b", seconds=0.003)
    two.observe("took_seconds", "b", seconds=9.0)
    lines = [line for line in one.text().splitlines() if line.startswith("took_seconds") and 'route="b"' in line]
    counts = [int(line.split()[-1]) for line in lines if "_bucket" in line]
    assert counts == sorted(counts)
    assert len(counts) == len(BUCKETS_S) + 1
    assert (counts[0], counts[-1]) == (1, 3)
    assert lines[-1] == 'took_seconds_count{route="b"} 3'


def test_labels_of_gauges_are_escaped(tmp_path):
    one, _ = two_processes(tmp_path)
    assert 'age{release="a\\"\\n"} 1' in one.text([Gauge("age", "s", "serving", ("release",))], [Value("age", 1.0, {"release": 'a"\n'})])
