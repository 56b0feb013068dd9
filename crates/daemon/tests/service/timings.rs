//! How long operations take, as they tell it and as it is scraped.

use std::time::{Duration, Instant};

use containarium_core::Role;
use containarium_incus_sim::{Fault, On};
use serde_json::{Value, json};

use crate::installed::Installed;

const LATENCY: Duration = Duration::from_millis(300);

impl Installed {
    async fn last_operation(&self) -> Value {
        let list = self
            .daemon
            .ask_as_admin("GET", "/v1/operations?limit=1", None)
            .await;
        list.json()["operations"][0].clone()
    }

    async fn scraped(&self, token: &str) -> Vec<String> {
        let scraped = self.daemon.ask("GET", "/metrics", Some(token), None).await;
        assert_eq!(scraped.status, 200, "{scraped:?}");
        scraped.body.lines().map(str::to_owned).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operation_tells_how_long_it_waited_and_each_step_took() {
    let here = Installed::new(247).await;
    here.there.sim.set_latency(LATENCY);
    let begun = Instant::now();
    let ask = json!({"username": "alice"});
    let made = here
        .daemon
        .ask_as_admin("POST", "/v1/containers", Some(ask))
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    let waited = u64::try_from(begun.elapsed().as_millis()).unwrap();
    let operation = here.last_operation().await;
    let ms = |of: &Value, what: &str| of[what].as_u64().unwrap_or_else(|| panic!("{what}: {of}"));
    let all = ms(&operation, "durationMs");
    assert!(all <= waited, "{all} of {waited}: {operation}");
    let steps = operation["steps"].as_array().unwrap();
    let sum: u64 = steps.iter().map(|step| ms(step, "durationMs")).sum();
    assert!(sum <= all + 1, "{operation}");
    assert_eq!(steps[1]["name"], "make");
    let latency = u64::try_from(LATENCY.as_millis()).unwrap();
    assert!(ms(&steps[1], "durationMs") >= latency, "{operation}");
    assert!(
        ms(&operation, "queuedMs") <= all - sum.min(all) + 50,
        "{operation}"
    );

    // One that waits for its turn says so, before it is over and afterwards.
    let token = here.daemon.admin_token();
    let begin = async |verb: &str| {
        let path = format!("/v1/containers/alice/{verb}");
        let wish = [("prefer", "respond-async")];
        let begun = here
            .daemon
            .ask_with("POST", &path, Some(&token), None, &wish)
            .await;
        begun.json()["operation"].clone()
    };
    begin("stop").await;
    let start = begin("start").await;
    assert!(
        start["queuedMs"].is_null() && start["durationMs"].is_null(),
        "{start}"
    );
    assert!(start["steps"][0]["durationMs"].is_null(), "{start}");
    let path = format!(
        "/v1/operations/{}/wait?timeout=60",
        start["id"].as_str().unwrap()
    );
    let ended = here.daemon.ask_as_admin("GET", &path, None).await.json();
    let ended = &ended["operation"];
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert!(ms(ended, "queuedMs") >= latency / 2, "{ended}");
    assert!(
        ms(ended, "durationMs") >= ms(ended, "queuedMs") + latency,
        "{ended}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_ended_is_counted_by_kind_step_and_result_for_those_who_see_all() {
    let here = Installed::new(248).await;
    let admin = here.daemon.admin_token();
    let heads = [
        "# TYPE containarium_operation_seconds histogram",
        "# TYPE containarium_operation_step_seconds histogram",
    ];
    let before = here.scraped(&admin).await;
    for head in heads {
        assert!(before.iter().any(|line| line == head), "{before:?}");
    }
    let of_ours = |line: &&String| line.starts_with("containarium_operation");
    assert_eq!(before.iter().filter(of_ours).count(), 0, "{before:?}");

    here.there.sim.set_latency(LATENCY);
    for (username, status) in [("alice", 201), ("bob", 500)] {
        if status == 500 {
            let (code, text) = (500, "Failed to run: forkstart: exit status 1".to_owned());
            let fault = Fault::FailStart { code, text };
            here.there.sim.fail_next(On::Create, fault);
        }
        let ask = json!({"username": username});
        let made = here
            .daemon
            .ask_as_admin("POST", "/v1/containers", Some(ask))
            .await;
        assert_eq!(made.status, status, "{made:?}");
    }
    let lines = here.scraped(&admin).await;
    let said = |name: &str| {
        let found = lines.iter().find_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.strip_prefix(' ')
        });
        let number = found.unwrap_or_else(|| panic!("{name}: {lines:#?}"));
        number.parse::<f64>().unwrap()
    };
    for result in ["succeeded", "failed"] {
        let labels = format!(r#"kind="create",result="{result}""#);
        let of = |part: &str| said(&format!("containarium_operation_seconds_{part}"));
        assert_eq!(of(&format!("count{{{labels}}}")), 1.0);
        assert_eq!(of(&format!(r#"bucket{{{labels},le="+Inf"}}"#)), 1.0);
        // The latency is between.
        assert_eq!(of(&format!(r#"bucket{{{labels},le="0.25"}}"#)), 0.0);
        assert_eq!(of(&format!(r#"bucket{{{labels},le="600"}}"#)), 1.0);
        let sum = of(&format!("sum{{{labels}}}"));
        assert!(sum >= LATENCY.as_secs_f64(), "{sum}");
        if result == "succeeded" {
            let told = here
                .daemon
                .ask_as_admin("GET", "/v1/operations?target=alice", None);
            let told = told.await.json();
            let told = told["operations"][0]["durationMs"].as_f64().unwrap();
            assert_eq!(sum, told / 1000.0);
        }
    }
    // The second was made, and did not come to boot.
    for (step, count) in [
        ("reserve", 2.0),
        ("make", 2.0),
        ("boot", 1.0),
        ("commit", 1.0),
    ] {
        let labels = format!(r#"kind="create",step="{step}""#);
        let of = |part: &str| said(&format!("containarium_operation_step_seconds_{part}"));
        assert_eq!(of(&format!("count{{{labels}}}")), count, "{step}");
        assert_eq!(of(&format!(r#"bucket{{{labels},le="+Inf"}}"#)), count);
        let bounds = [
            "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "30",
        ];
        let all = bounds.map(|bound| of(&format!(r#"bucket{{{labels},le="{bound}"}}"#)));
        assert!(all.is_sorted(), "{step}: {all:?}");
    }
    let viewer = here.daemon.token("vera", &[Role::Viewer]);
    let alice = here.daemon.token("alice", &[Role::User]);
    assert!(
        here.scraped(&viewer)
            .await
            .iter()
            .any(|line| of_ours(&line))
    );
    let his = here.scraped(&alice).await;
    assert!(
        !his.iter().any(|line| line.contains("operation")),
        "{his:?}"
    );
}
