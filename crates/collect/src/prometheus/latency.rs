//! Percentiles of a latency histogram, classic or native, over the window.

use plimsoll_analysis::coverage::Coverage;
use plimsoll_analysis::histogram::{Bucket, ClassicHistogram, native_bucket};
use plimsoll_analysis::record::Basis;

use super::parse::{Native, Sample};
use super::queries::{self, Selector};
use super::session::{Session, Unread, add_note, rounded};

/// A quantile (0 to 1), and the path of its figure in the record.
pub(crate) type Wanted<'a> = (f64, &'a str);

/// A native histogram is preferred, being finer, unless the classic one has seen so many times as much: then the
/// change to native ones is under way and the classic one still covers more of the window.
const CLASSIC_SEES_MORE: f64 = 1.01;

/// Percentiles in milliseconds, in the order in which they are wanted, and which kind of histogram they are from.
#[derive(Debug)]
pub(crate) struct Latency<const N: usize> {
    pub(crate) percentiles_ms: [Option<f64>; N],
    /// Bounds of the bucket that holds each; the upper one is absent where nothing bounds it.
    pub(crate) bounds_ms: [Option<(f64, Option<f64>)>; N],
    pub(crate) is_native: bool,
    /// Which histogram it was; absent where there is none in the window.
    pub(crate) histogram: Option<Selector>,
}

impl<const N: usize> Default for Latency<N> {
    fn default() -> Self {
        Self { percentiles_ms: [None; N], bounds_ms: [None; N], is_native: false, histogram: None }
    }
}

/// Reads the percentiles and sets the basis of each under its path.
pub(crate) async fn latency<const N: usize>(
    session: &mut Session<'_>,
    histogram: &str,
    matchers: &str,
    wanted: [Wanted<'_>; N],
) -> Latency<N> {
    read(session, histogram, matchers, wanted).await.unwrap_or_default()
}

async fn read<const N: usize>(
    session: &mut Session<'_>,
    name: &str,
    matchers: &str,
    wanted: [Wanted<'_>; N],
) -> Result<Latency<N>, Unread> {
    let histogram = session.built(Selector::new(name, &[matchers]))?;
    let classic = session.vector(queries::classic_buckets(&histogram, session.whole())).await;
    let native = session.vector(queries::native_sum(&histogram, session.whole())).await;
    if classic.is_err() && native.is_err() {
        return Err(Unread);
    }
    let native =
        native.unwrap_or_default().into_iter().find_map(|sample| sample.histogram).map(|point| point.1);
    let classic = classic.unwrap_or_default();
    let observed = observations(&classic);
    match native {
        Some(native) if observed <= native.count.0 * CLASSIC_SEES_MORE => {
            from_native(session, &histogram, &native, wanted).await
        }
        _ if classic.is_empty() => {
            let note = format!(
                "no series of {} or {} in the window; check the metric's name and the matchers",
                histogram.suffixed("_bucket").text(),
                histogram.text()
            );
            for (_, path) in wanted {
                session.absent(path, None, &note);
            }
            Ok(Latency::default())
        }
        _ => from_classic(session, &histogram, &classic, wanted).await,
    }
}

/// Observations of summed buckets: the count in `+Inf`.
fn observations(buckets: &[Sample]) -> f64 {
    buckets
        .iter()
        .filter(|sample| sample.label("le").parse() == Ok(f64::INFINITY))
        .filter_map(Sample::number)
        .sum()
}

async fn from_classic<const N: usize>(
    session: &mut Session<'_>,
    histogram: &Selector,
    samples: &[Sample],
    wanted: [Wanted<'_>; N],
) -> Result<Latency<N>, Unread> {
    let every = session.built(histogram.suffixed("_bucket").with("le", "+Inf"))?;
    let coverage = session.seen(&every).await?;
    let buckets = samples.iter().filter_map(|sample| {
        let upper_bound = sample.label("le").parse().ok()?;
        Some(Bucket { upper_bound, cumulative: sample.number()? })
    });
    let summed = match ClassicHistogram::new(buckets.collect()) {
        Ok(summed) => summed,
        Err(error) => {
            for (_, path) in wanted {
                session.absent(path, coverage.as_ref(), &error.to_string());
            }
            return Ok(Latency::default());
        }
    };
    let mut latency = Latency { histogram: Some(histogram.clone()), ..Latency::default() };
    for (index, (q, path)) in wanted.into_iter().enumerate() {
        let Some(found) = summed.quantile(q) else {
            session.absent(path, coverage.as_ref(), "nothing was observed in the window");
            continue;
        };
        let basis =
            observed_basis(session, coverage.as_ref(), summed.observations(), (found.lower, found.upper));
        session.set_basis(path, basis);
        latency.percentiles_ms[index] = finite_ms(found.value);
        latency.bounds_ms[index] = bounds_ms((found.lower, found.upper));
    }
    Ok(latency)
}

async fn from_native<const N: usize>(
    session: &mut Session<'_>,
    histogram: &Selector,
    summed: &Native,
    wanted: [Wanted<'_>; N],
) -> Result<Latency<N>, Unread> {
    let coverage = session.seen(histogram).await?;
    let buckets = summed.buckets();
    let mut latency = Latency { is_native: true, histogram: Some(histogram.clone()), ..Latency::default() };
    for (index, (q, path)) in wanted.into_iter().enumerate() {
        let asked = session.number(queries::native_quantile(histogram, session.whole(), q)).await;
        let Ok(value) = asked else { continue };
        let (Some(value), Some(bounds)) = (value, native_bucket(&buckets, q)) else {
            session.absent(path, coverage.as_ref(), "nothing was observed in the window");
            continue;
        };
        let basis = observed_basis(session, coverage.as_ref(), summed.count.0, bounds);
        session.set_basis(path, basis);
        latency.percentiles_ms[index] = finite_ms(value);
        latency.bounds_ms[index] = bounds_ms(bounds);
    }
    Ok(latency)
}

fn observed_basis(
    session: &Session<'_>,
    coverage: Option<&Coverage>,
    observations: f64,
    (lower, upper): (f64, f64),
) -> Basis {
    let mut basis = session.window_basis(coverage);
    basis.samples = Some(rounded(observations));
    if upper == f64::INFINITY {
        add_note(&mut basis, "above the histogram's highest bound, so that the true value may be larger");
    }
    basis.resolution_ms = Some([lower, upper].into_iter().filter_map(finite_ms).collect());
    basis
}

/// Bounds of a bucket in milliseconds. No time is negative, so that the lowest bucket begins at 0.
fn bounds_ms((lower, upper): (f64, f64)) -> Option<(f64, Option<f64>)> {
    let lower = finite_ms(lower.max(0.0))?;
    Some((lower, finite_ms(upper).map(|upper| upper.max(lower))))
}

fn finite_ms(seconds: f64) -> Option<f64> {
    Some(seconds * 1000.0).filter(|value| value.is_finite())
}
