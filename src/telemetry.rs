//! Logs and metrics.
//!
//! Logs go to standard error: JSON for machines, readable in a terminal. Fields are queryable, and no
//! secret is ever one. The libraries that carry secrets (the AWS SDK, HTTP, SQL) could print them at
//! their most talkative, and name access keys at `info`, so they are held at `warn` whatever the filter
//! says.

use std::{io::IsTerminal, sync::OnceLock, time::Duration};

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_util::sync::CancellationToken;
use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, filter::filter_fn, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::LogFormat;

/// Starts logging. A second call does nothing.
///
/// # Errors
/// If the filter is not one; the text says where.
pub fn start_logging(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = EnvFilter::try_new(filter).map_err(|e| e.to_string())?;
    let json = match format {
        LogFormat::Auto => !std::io::stderr().is_terminal(),
        LogFormat::Json => true,
        LogFormat::Pretty => false,
    };
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = if json {
        lines.json().flatten_event(true).with_current_span(false).with_span_list(false).boxed()
    } else {
        lines.with_target(false).boxed()
    };
    // Both filters are for the whole: a filter of one layer loses lines after a library merely asked
    // whether one of its own would be written. Only fails if logging was started before.
    let _ = tracing_subscriber::registry().with(filter).with(filter_fn(may_speak)).with(lines).try_init();
    Ok(())
}

/// Our own code says what its filter lets it; libraries nothing below `warn`.
fn may_speak(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::WARN || metadata.target().starts_with("keybroker")
}

/// Upper bounds of the latency histograms, in seconds.
const LATENCIES: [f64; 12] = [0.000_1, 0.000_5, 0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 2.5, 10.0];

/// Starts collecting metrics, once for the process, and gives the way to print them.
///
/// # Panics
/// If another collector was installed before; nothing in this program does.
pub fn start_metrics() -> PrometheusHandle {
    static HANDLE: OnceLock<PrometheusHandle> = OnceLock::new();
    HANDLE
        .get_or_init(|| {
            let builder = PrometheusBuilder::new().set_buckets(&LATENCIES).expect("there are buckets");
            let handle = builder.install_recorder().expect("nothing else collects metrics");
            describe();
            handle
        })
        .clone()
}

/// Sums up what was measured, every few seconds: between two scrapes, single measurements pile up.
pub async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    while stop.run_until_cancelled(tokio::time::sleep(Duration::from_secs(5))).await.is_some() {
        metrics.run_upkeep();
    }
}

fn describe() {
    describe_counter!("keybroker_http_requests_total", "Requests by method, route and status.");
    describe_histogram!(
        "keybroker_http_request_seconds",
        Unit::Seconds,
        "Time to answer, by method and route."
    );
    describe_counter!(
        "keybroker_cache_reads_total",
        "Reads by what the cache had: hit, miss, stale, bypass."
    );
    describe_counter!("keybroker_store_calls_total", "Calls to the store by action and outcome.");
    describe_histogram!(
        "keybroker_store_call_seconds",
        Unit::Seconds,
        "Time of a call to the store, by action."
    );
    describe_gauge!(
        "keybroker_store_reads_waiting",
        "Reads of the store that wait for others to end: see KEYBROKER_STORE_CONCURRENCY."
    );
    describe_counter!("keybroker_verifications_total", "Keys tried, by provider and outcome.");
    describe_counter!("keybroker_vault_requests_total", "Readings of customer vaults, by outcome.");
    describe_histogram!(
        "keybroker_vault_seconds",
        Unit::Seconds,
        "Time of a reading of a customer vault that got its turn, the wait for it included."
    );
    describe_histogram!(
        "keybroker_verification_seconds",
        Unit::Seconds,
        "Time of a request to a provider, by provider."
    );
    describe_counter!("keybroker_reads_recorded_total", "Reads of keys that the audit log tells of.");
    describe_gauge!(
        "keybroker_reads_waiting",
        "Lines of reads that the audit log should tell, but the database did not take yet."
    );
    describe_gauge!(
        "keybroker_blindness_seconds",
        Unit::Seconds,
        "How long ago this replica last knew what others changed."
    );
    describe_gauge!("keybroker_lease_held", "1 where this replica does that background work, else 0.");
    describe_gauge!(
        "keybroker_pending_writes",
        "Writes whose outcome was open when the reconciler last looked."
    );
}
