//! Writes series with any timestamps into a Prometheus by its remote-write protocol (version 1: protocol buffers in
//! snappy's block format), encoded by hand: it needs a handful of fields and no compression.

/// One series to write.
#[derive(Debug, Clone, Default)]
pub struct Series {
    /// Labels, the metric's name too.
    pub labels: Vec<(String, String)>,
    /// Time in milliseconds since the epoch, and value.
    pub points: Vec<(i64, f64)>,
    /// Native histograms, by time in milliseconds since the epoch.
    pub histograms: Vec<(i64, Native)>,
}

/// A native histogram of positive observations with integer counts.
#[derive(Debug, Clone, PartialEq)]
pub struct Native {
    pub schema: i32,
    pub sum: f64,
    /// Count by index of the bucket, in rising order; bucket `i` ends at `2^(i / 2^schema)`.
    pub buckets: Vec<(i32, u64)>,
}

/// The value by which Prometheus marks the end of a series (`value.StaleNaN`).
pub fn stale() -> f64 {
    f64::from_bits(0x7ff0_0000_0000_0002)
}

/// A `WriteRequest` as the body of a request.
pub fn encode(series: &[Series]) -> Vec<u8> {
    let mut request = Vec::new();
    for one in series {
        let mut message = Vec::new();
        let mut labels = one.labels.clone();
        labels.sort();
        for (name, value) in labels {
            let mut label = Vec::new();
            bytes(&mut label, 1, name.as_bytes());
            bytes(&mut label, 2, value.as_bytes());
            bytes(&mut message, 1, &label);
        }
        for (time, value) in &one.points {
            let mut sample = Vec::new();
            double(&mut sample, 1, *value);
            integer(&mut sample, 2, *time as u64);
            bytes(&mut message, 2, &sample);
        }
        for (time, histogram) in &one.histograms {
            bytes(&mut message, 4, &native(*time, histogram));
        }
        bytes(&mut request, 1, &message);
    }
    snappy(&request)
}

fn native(time: i64, histogram: &Native) -> Vec<u8> {
    let mut message = Vec::new();
    integer(&mut message, 1, histogram.buckets.iter().map(|bucket| bucket.1).sum());
    double(&mut message, 3, histogram.sum);
    integer(&mut message, 4, zigzag(i64::from(histogram.schema)));
    double(&mut message, 5, 1e-9);
    integer(&mut message, 6, 0);
    let (mut next, mut before) = (0, 0);
    let mut deltas = Vec::new();
    for (index, count) in &histogram.buckets {
        // A span of one bucket each: longer than need be and simple.
        let mut span = Vec::new();
        integer(&mut span, 1, zigzag(i64::from(index - next)));
        integer(&mut span, 2, 1);
        bytes(&mut message, 11, &span);
        next = index + 1;
        varint(&mut deltas, zigzag(*count as i64 - before));
        before = *count as i64;
    }
    bytes(&mut message, 12, &deltas);
    integer(&mut message, 15, time as u64);
    message
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn integer(out: &mut Vec<u8>, field: u64, value: u64) {
    varint(out, field << 3);
    varint(out, value);
}

fn double(out: &mut Vec<u8>, field: u64, value: f64) {
    varint(out, field << 3 | 1);
    out.extend(value.to_le_bytes());
}

fn bytes(out: &mut Vec<u8>, field: u64, value: &[u8]) {
    varint(out, field << 3 | 2);
    varint(out, value.len() as u64);
    out.extend(value);
}

/// Snappy's block format with literals only.
fn snappy(plain: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    varint(&mut out, plain.len() as u64);
    for chunk in plain.chunks(65_536) {
        out.push(61 << 2);
        out.extend((chunk.len() as u16).wrapping_sub(1).to_le_bytes());
        out.extend(chunk);
    }
    out
}
