mod requests;
mod rig;

use std::collections::BTreeMap;

use axum::body::to_bytes;
use metrics_exporter_prometheus::PrometheusBuilder;

use self::{
    requests::{World, generated},
    rig::Rig,
};
use super::*;

/// An answer as it goes out, headers in their order, but for the id of a request that had none.
#[derive(Debug, PartialEq)]
struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

async fn seen(response: Response) -> Answer {
    let (parts, body) = response.into_parts();
    let mut body = String::from_utf8(to_bytes(body, usize::MAX).await.unwrap().into()).unwrap();
    let text = |value: &HeaderValue| String::from_utf8(value.as_bytes().into()).unwrap();
    let header = |(name, value): (_, &_)| (ToString::to_string(&name), text(value));
    let mut headers: Vec<_> = parts.headers.iter().map(header).collect();
    for (_, value) in headers.iter_mut().filter(|(name, value)| name == "x-request-id" && value.len() == 36) {
        body = body.replace(value.as_str(), "own");
        "own".clone_into(value);
    }
    Answer { status: parts.status.as_u16(), headers, body }
}

#[tokio::test]
async fn the_router_answers_the_same() {
    let rig = Rig::new().await;
    let world = World::of(&rig).await;
    let before = rig.reads_logged().await;
    let (mut warm, mut statuses, mut given) = (0, BTreeMap::new(), 0);
    for sent in generated(&world, 4_000) {
        let response = match rig.fast.call(sent.request()) {
            Either::Left(ready) => {
                warm += 1;
                ready.await
            }
            routed @ Either::Right(_) => routed.await,
        };
        let quick = seen(response.unwrap()).await;
        let routed = seen(rig.fast.router.clone().oneshot(sent.request()).await.unwrap()).await;
        assert_eq!(quick, routed, "{sent:?}");
        given += 2 * i64::from(quick.status == 200);
        *statuses.entry(quick.status).or_insert(0) += 1;
    }
    assert!((500..3_000).contains(&warm), "{warm} went the short way");
    let all: Vec<_> = statuses.keys().copied().collect();
    assert_eq!(all, [200, 304, 400, 401, 403, 404, 405], "{statuses:?}");
    assert!(statuses.values().all(|number| *number > 20), "{statuses:?}");
    assert_eq!(
        rig.reads_logged().await - before,
        given,
        "each answer with keys, and no other, is in the log"
    );
}

/// What the metrics tell after requests that went one way: counts, not times.
async fn measured(short: bool) -> Vec<String> {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _only_here = metrics::set_default_local_recorder(&recorder);
    let rig = Rig::new().await;
    let world = World::of(&rig).await;
    for sent in generated(&world, 500) {
        let request = sent.request();
        if short { rig.fast.call(request).await } else { rig.fast.router.clone().oneshot(request).await }
            .unwrap();
    }
    let text = recorder.handle().render();
    let counts = |line: &&str| {
        [
            "keybroker_http_requests_total{",
            "keybroker_http_request_seconds_count{",
            "keybroker_cache_reads_total{",
        ]
        .iter()
        .any(|name| line.starts_with(name) && !line.ends_with(" 0"))
    };
    let mut lines: Vec<_> = text.lines().filter(counts).map(str::to_owned).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn the_router_measures_the_same() {
    let (short, long) = (measured(true).await, measured(false).await);
    assert_eq!(short, long);
    let warm = format!(r#"keybroker_http_requests_total{{method="GET",route="{ROUTE}",status="200"}}"#);
    assert!(short.iter().any(|line| line.starts_with(&warm)), "{short:#?}");
}
