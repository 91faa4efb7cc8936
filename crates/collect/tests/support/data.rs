//! Eight days of a made-up system whose truth is known: every request, every restart, every gap.

use std::sync::OnceLock;

use super::remote_write::{Native, Series, stale};

/// The evaluation instant of most tests: 2026-02-08T00:00:00.250Z.
pub const END: i64 = 1_770_508_800_250;
pub const MINUTE: i64 = 60_000;
pub const HOUR: i64 = 60 * MINUTE;
pub const DAY: i64 = 24 * HOUR;

/// The six hours in which Prometheus itself was down.
pub const GAP: (i64, i64) = (END - 4 * DAY, END - 4 * DAY + 6 * HOUR);
/// When the second web pod started, and when the first restarted.
pub const LATE: i64 = END - 3 * DAY;
pub const RESTART: i64 = END - 5 * DAY - 30_000;
/// When the API was first scraped.
pub const API_START: i64 = END - 2 * DAY;

pub const BOUNDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, f64::INFINITY];

/// Everything that is written, and the observations behind the histograms.
pub struct World {
    pub series: Vec<Series>,
    /// Time of the scrape that first saw it, in milliseconds, and latency in seconds.
    pub web: Vec<(i64, f64)>,
    pub api: Vec<(i64, f64)>,
    pub native: Vec<(i64, f64)>,
}

/// The world, made once a process.
pub fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let mut world = World { series: Vec::new(), web: Vec::new(), api: Vec::new(), native: Vec::new() };
        web(&mut world);
        api(&mut world);
        fresh(&mut world);
        native(&mut world);
        containers(&mut world);
        for one in &mut world.series {
            one.points.retain(|(time, _)| *time <= GAP.0 || *time > GAP.1);
        }
        world
    })
}

/// A reproducible random sequence (splitmix64), 0 to 1.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }

    /// A latency in seconds: mostly tens of milliseconds, with a long tail (log-normal by Box and Muller).
    fn latency(&mut self, median: f64) -> f64 {
        let (u, v) = (self.next().max(1e-12), self.next());
        let normal = (-2.0 * u.ln()).sqrt() * (std::f64::consts::TAU * v).cos();
        median * (0.9 * normal).exp()
    }
}

fn labels(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A classic histogram that counts.
struct Classic {
    counts: [u64; BOUNDS.len()],
    sum: f64,
    series: Vec<Series>,
}

impl Classic {
    fn new(name: &str, pairs: &[(&str, &str)]) -> Self {
        let named = |suffix: &str, more: &[(&str, &str)]| {
            let name = format!("{name}{suffix}");
            let all = [&[("__name__", name.as_str())], pairs, more].concat();
            Series { labels: labels(&all), ..Series::default() }
        };
        let mut series = vec![named("_sum", &[]), named("_count", &[])];
        series.extend(BOUNDS.map(|bound| {
            let le = if bound.is_infinite() { "+Inf".to_owned() } else { bound.to_string() };
            named("_bucket", &[("le", &le)])
        }));
        Self { counts: [0; BOUNDS.len()], sum: 0.0, series }
    }

    fn observe(&mut self, latency: f64) {
        self.sum += latency;
        for (count, bound) in self.counts.iter_mut().zip(BOUNDS) {
            *count += u64::from(latency <= bound);
        }
    }

    fn restart(&mut self) {
        self.counts = [0; BOUNDS.len()];
        self.sum = 0.0;
    }

    fn scrape(&mut self, time: i64) {
        let total = self.counts[BOUNDS.len() - 1] as f64;
        let values = [self.sum, total].into_iter().chain(self.counts.map(|count| count as f64));
        for (series, value) in self.series.iter_mut().zip(values) {
            series.points.push((time, value));
        }
    }
}

/// Two pods, `job="odoo"`, scraped every minute: the first all the time with a restart, the second from [`LATE`].
fn web(world: &mut World) {
    let mut random = Random(1);
    for (pod, offset, start) in [("odoo-a", 7_123, END - 8 * DAY), ("odoo-b", 41_500, LATE)] {
        let pairs = [("job", "odoo"), ("pod", pod)];
        let mut histogram = Classic::new("http_request_duration_seconds", &pairs);
        let counter = |status: &str| Series {
            labels: labels(
                &[&pairs[..], &[("__name__", "http_requests_total"), ("status", status)]].concat(),
            ),
            ..Series::default()
        };
        let (mut good, mut bad) = (counter("200"), counter("500"));
        let (mut good_count, mut bad_count) = (0.0, 0.0);
        let mut time = start + offset;
        while time <= END {
            if pod == "odoo-a" && time > RESTART && time - MINUTE <= RESTART {
                histogram.restart();
                (good_count, bad_count) = (0.0, 0.0);
            }
            // More by day than by night.
            let hour = (time / HOUR) % 24;
            let requests = 2 + (random.next() * if (8..20).contains(&hour) { 16.0 } else { 5.0 }) as u32;
            for _ in 0..requests {
                let latency = random.latency(0.08);
                histogram.observe(latency);
                world.web.push((time, latency));
                if random.next() < 0.02 {
                    bad_count += 1.0;
                } else {
                    good_count += 1.0;
                }
            }
            histogram.scrape(time);
            good.points.push((time, good_count));
            bad.points.push((time, bad_count));
            time += MINUTE;
        }
        world.series.extend(histogram.series);
        world.series.extend([good, bad]);
    }
}

/// Twelve endpoints of one API, of which three have latencies; no request fails.
fn api(world: &mut World) {
    let mut random = Random(2);
    for index in 0..12u32 {
        let endpoint = format!("/v1/endpoint-{index:02}");
        let pairs = [("job", "api"), ("endpoint", endpoint.as_str())];
        let mut histogram = (index < 3).then(|| Classic::new("api_request_duration_seconds", &pairs));
        let mut counter = Series {
            labels: labels(&[&pairs[..], &[("__name__", "api_requests_total"), ("status", "200")]].concat()),
            ..Series::default()
        };
        let mut count = 0.0;
        let mut time = API_START + 11_000;
        while time <= END {
            let requests = 1 + index + (random.next() * 6.0) as u32;
            count += f64::from(requests);
            counter.points.push((time, count));
            if let Some(histogram) = &mut histogram {
                for _ in 0..requests {
                    let latency = random.latency(0.02 * f64::from(index + 1));
                    histogram.observe(latency);
                    world.api.push((time, latency));
                }
                histogram.scrape(time);
            }
            time += MINUTE;
        }
        world.series.push(counter);
        world.series.extend(histogram.into_iter().flat_map(|histogram| histogram.series));
    }
}

/// Requests a second of the targets of `job="fresh"`, which are scraped every 15 s.
pub const FRESH: [f64; 3] = [4.0, 2.5, 1.5];
/// When the last of them started.
pub const FRESH_LATE: i64 = END - 150_000;

/// Three targets with steady rates; the third starts late, the first restarts.
fn fresh(world: &mut World) {
    for (index, rate) in FRESH.into_iter().enumerate() {
        let pod = format!("fresh-{index}");
        let mut series = Series {
            labels: labels(&[
                ("__name__", "http_requests_total"),
                ("job", "fresh"),
                ("pod", &pod),
                ("status", "200"),
            ]),
            ..Series::default()
        };
        let start = if index == 2 { FRESH_LATE } else { END - 30 * MINUTE };
        let restart = if index == 0 { END - 10 * MINUTE } else { i64::MIN };
        let mut time = start + 1_000 + 4_700 * index as i64;
        while time <= END {
            let since = if time > restart { start.max(restart) } else { start };
            // Begins far from 0: a counter that somebody else started.
            let base = if index == 1 { 1e6 } else { 0.0 };
            series.points.push((time, base + (time - since) as f64 / 1000.0 * rate));
            time += 15_000;
        }
        world.series.push(series);
    }
}

/// A native histogram (schema 3) for two days; another service moves from a classic to a native one.
fn native(world: &mut World) {
    let mut random = Random(3);
    let mut plain = Series {
        labels: labels(&[("__name__", "native_request_duration_seconds"), ("job", "odoo")]),
        ..Series::default()
    };
    let mut moving = Series {
        labels: labels(&[("__name__", "moving_request_duration_seconds"), ("job", "odoo")]),
        ..Series::default()
    };
    let mut old = Classic::new("moving_request_duration_seconds", &[("job", "odoo")]);
    let mut buckets = std::collections::BTreeMap::<i32, u64>::new();
    let mut sum = 0.0;
    let mut time = API_START + 3_000;
    while time <= END {
        for _ in 0..10 {
            let latency = random.latency(0.08);
            world.native.push((time, latency));
            sum += latency;
            old.observe(latency);
            *buckets.entry((latency.log2() * 8.0).ceil() as i32).or_default() += 1;
        }
        let histogram = Native { schema: 3, sum, buckets: buckets.clone().into_iter().collect() };
        plain.histograms.push((time, histogram.clone()));
        old.scrape(time);
        if time > END - 6 * HOUR {
            moving.histograms.push((time, histogram));
        }
        time += MINUTE;
    }
    world.series.extend([plain, moving]);
    world.series.extend(old.series);
}

/// A pod of cAdvisor: name, cores, start, end, whether it ends with a stale marker.
pub const PODS: [(&str, f64, i64, i64); 4] = [
    ("odoo-0", 0.12, END - 8 * DAY, END),
    ("api-1", 0.5, END - 3 * DAY, END - DAY),
    ("report-xyz", 0.8, END - 90 * MINUTE, END - 84 * MINUTE),
    ("young-0", 0.25, END - 10 * MINUTE, END),
];
/// Further pods that idle for three hours.
pub const IDLE_PODS: usize = 60;
pub const IDLE_CORES: f64 = 0.001;
/// Bytes a second that odoo-0 receives.
pub const RECEIVED: f64 = 250_000.0;

fn containers(world: &mut World) {
    for (pod, cores, start, end) in PODS {
        pod_series(world, pod, cores, start, end);
    }
    for index in 0..IDLE_PODS {
        pod_series(world, &format!("idle-{index:02}"), IDLE_CORES, END - 3 * HOUR, END);
    }
    let rows = [("/kubepods/pod1", ""), ("/kubepods/pod1/sandbox", "POD")];
    for (id, container) in rows {
        let pairs = [
            ("__name__", "container_network_receive_bytes_total"),
            ("namespace", "smart-dairy"),
            ("pod", "odoo-0"),
            ("interface", "eth0"),
            ("id", id),
            ("container", container),
        ];
        world.series.push(linear(&pairs, END - 8 * DAY, END, RECEIVED, 0.0));
    }
}

/// CFS periods a second of each container that has a CPU limit: all of them.
pub const PERIODS: f64 = 10.0;

/// The rows of a pod with two containers, its sum and its sandbox, from two scrape jobs. A pod that uses much is throttled in
/// as large a part of its periods as it uses of a core.
fn pod_series(world: &mut World, pod: &str, cores: f64, start: i64, end: i64) {
    for (job, path) in [("kubelet", "/metrics/cadvisor"), ("resource", "/metrics/resource")] {
        let rows: &[(&str, f64)] = match job {
            "kubelet" => &[("main", 0.75), ("sidecar", 0.25), ("", 1.0), ("POD", 0.01)],
            _ => &[("main", 0.75), ("sidecar", 0.25)],
        };
        for (container, part) in rows {
            let pairs = |name| {
                [
                    ("__name__", name),
                    ("namespace", "smart-dairy"),
                    ("pod", pod),
                    ("container", container),
                    ("job", job),
                    ("metrics_path", path),
                ]
            };
            world.series.push(linear(
                &pairs("container_cpu_usage_seconds_total"),
                start,
                end,
                cores * part,
                0.0,
            ));
            if job == "kubelet" {
                let bytes = cores * part * 1e9;
                world.series.push(linear(&pairs("container_memory_usage_bytes"), start, end, 0.0, bytes));
                let periods = pairs("container_cpu_cfs_periods_total");
                world.series.push(linear(&periods, start, end, PERIODS, 0.0));
                if cores > IDLE_CORES {
                    let throttled = pairs("container_cpu_cfs_throttled_periods_total");
                    world.series.push(linear(&throttled, start, end, PERIODS * cores, 0.0));
                }
            }
        }
    }
}

/// A steady counter or gauge, every minute, with a stale marker where it ends before the world does.
fn linear(pairs: &[(&str, &str)], start: i64, end: i64, per_second: f64, base: f64) -> Series {
    let mut series = Series { labels: labels(pairs), ..Series::default() };
    let mut time = start + 20_000;
    while time <= end {
        series.points.push((time, base + (time - start) as f64 / 1000.0 * per_second));
        time += MINUTE;
    }
    if time <= END {
        series.points.push((time, stale()));
    }
    series
}

/// The increase of a counter in a window (open at its start), by its very samples: what was added from one to the
/// next, and after a restart what there is.
pub fn true_increase(points: &[(i64, f64)], from: i64, to: i64) -> f64 {
    let inside: Vec<f64> = points
        .iter()
        .filter(|(time, value)| from < *time && *time <= to && !value.is_nan())
        .map(|point| point.1)
        .collect();
    inside.windows(2).map(|pair| if pair[1] >= pair[0] { pair[1] - pair[0] } else { pair[1] }).sum()
}

/// Every series of a metric with a label.
pub fn series_of<'a>(
    name: &'a str,
    label: (&'a str, &'a str),
) -> impl Iterator<Item = &'static Series> + use<'a> {
    let has =
        |series: &Series, key: &str, value: &str| series.labels.iter().any(|(k, v)| k == key && v == value);
    world().series.iter().filter(move |series| has(series, "__name__", name) && has(series, label.0, label.1))
}
