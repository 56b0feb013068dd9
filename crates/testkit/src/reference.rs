//! A client that asks and reads as that of the Go reference's first MCP release does, whose own
//! `mcp-server` must be able to do all eight tools against our daemon.
//!
//! Its requests have exactly the reference's fields, in its order. Its answers are read into types as
//! strict as Go's: an integer there is an integer here, and what Go never leaves out must be there.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::wait_for;

/// The reference's patience.
const TIMEOUT: Duration = Duration::from_secs(120);

/// One caller, with one token.
pub struct Reference {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What a call comes to; a failure in the reference's words.
type Called<T> = Result<T, String>;

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateRequest<'a> {
    username: &'a str,
    resources: Limits,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    ssh_keys: &'a [String],
    #[serde(skip_serializing_if = "str::is_empty")]
    image: &'a str,
    // Go leaves out what is false, so this client cannot decline Docker.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    enable_docker: bool,
}

/// `resources`, both ways.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Limits {
    /// Cores.
    cpu: String,
    /// Memory.
    memory: String,
    /// Disk.
    disk: String,
}

/// `network`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Network {
    ip_address: String,
    mac_address: String,
    interface: String,
    bridge: String,
}

/// `container`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Container {
    name: String,
    username: String,
    state: String,
    resources: Limits,
    #[serde(default)]
    ssh_keys: Vec<String>,
    network: Network,
    created_at: i64,
    updated_at: i64,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    image: String,
    docker_enabled: bool,
}

/// One entry of `metrics`; to Go what is absent is zero.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Metrics {
    name: String,
    cpu_usage_seconds: i64,
    memory_usage_bytes: i64,
    memory_peak_bytes: i64,
    disk_usage_bytes: i64,
    network_rx_bytes: i64,
    network_tx_bytes: i64,
    process_count: i32,
}

/// `info`.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    incus_version: String,
    os: String,
    kernel_version: String,
    containers_running: i64,
    containers_stopped: i64,
    containers_total: i64,
    hostname: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    container: Container,
    message: String,
    ssh_command: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    containers: Vec<Container>,
    total_count: i64,
}

#[derive(Debug, Deserialize)]
struct Got {
    container: Container,
    metrics: Option<Metrics>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Deleted {
    message: String,
    container_name: String,
}

#[derive(Debug, Deserialize)]
struct Changed {
    message: String,
    container: Container,
}

#[derive(Debug, Deserialize)]
struct Measured {
    metrics: Vec<Metrics>,
}

#[derive(Debug, Deserialize)]
struct Informed {
    info: Info,
}

impl Reference {
    /// A caller of the daemon at `url`.
    pub fn new(url: &str, token: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .timeout(TIMEOUT)
            .user_agent("Go-http-client/1.1")
            .build();
        Self {
            http: http.unwrap(),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Every request says that it is JSON, those without a body too.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
    ) -> Called<T> {
        let mut request = self
            .http
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .header("authorization", format!("Bearer {}", self.token))
            .header("content-type", "application/json");
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request
            .send()
            .await
            .map_err(|e| format!("request failed: {e}"))?;
        let status = answer.status();
        let body = answer
            .text()
            .await
            .map_err(|e| format!("failed to read response: {e}"))?;
        if !status.is_success() {
            return Err(format!("API error (status {}): {body}", status.as_u16()));
        }
        serde_json::from_str(&body)
            .map_err(|e| format!("failed to unmarshal response: {e}: {method} {path}: {body}"))
    }

    /// `create_container` with what its tool always sends.
    async fn create(
        &self,
        username: &str,
        resources: Limits,
        ssh_keys: &[String],
        image: &str,
    ) -> Called<(Container, String)> {
        let request = CreateRequest {
            username,
            resources,
            ssh_keys,
            image,
            enable_docker: true,
        };
        let body = serde_json::to_string(&request).unwrap();
        let made: Created = self.ask("POST", "/v1/containers", Some(body)).await?;
        assert!(made.ssh_command.starts_with("ssh "), "{}", made.ssh_command);
        Ok((made.container, made.message))
    }

    /// `list_containers`.
    async fn list(&self) -> Called<Vec<Container>> {
        let listed: Listed = self.ask("GET", "/v1/containers", None).await?;
        assert_eq!(listed.total_count, listed.containers.len() as i64);
        Ok(listed.containers)
    }

    /// `get_container`.
    async fn get(&self, username: &str) -> Called<(Container, Option<Metrics>)> {
        let path = format!("/v1/containers/{username}");
        let got: Got = self.ask("GET", &path, None).await?;
        Ok((got.container, got.metrics))
    }

    /// `delete_container`.
    async fn delete(&self, username: &str, force: bool) -> Called<(String, String)> {
        let path = format!("/v1/containers/{username}?force={force}");
        let gone: Deleted = self.ask("DELETE", &path, None).await?;
        Ok((gone.message, gone.container_name))
    }

    /// `start_container`, without a body.
    async fn start(&self, username: &str) -> Called<(String, Container)> {
        let path = format!("/v1/containers/{username}/start");
        let changed: Changed = self.ask("POST", &path, None).await?;
        Ok((changed.message, changed.container))
    }

    /// `stop_container`.
    async fn stop(&self, username: &str, force: bool) -> Called<(String, Container)> {
        let path = format!("/v1/containers/{username}/stop");
        let body = Some(format!("{{\"force\":{force}}}"));
        let changed: Changed = self.ask("POST", &path, body).await?;
        Ok((changed.message, changed.container))
    }

    /// `get_metrics`; of all where the name is empty.
    async fn metrics(&self, username: &str) -> Called<Vec<Metrics>> {
        let path = match username {
            "" => "/v1/metrics".to_owned(),
            username => format!("/v1/metrics/{username}"),
        };
        Ok(self.ask::<Measured>("GET", &path, None).await?.metrics)
    }

    /// `get_system_info`.
    async fn info(&self) -> Called<Info> {
        Ok(self
            .ask::<Informed>("GET", "/v1/system/info", None)
            .await?
            .info)
    }

    /// Does with a fresh daemon all that its eight tools can do. Fails the test at the first answer
    /// that the reference could not read, or would show as nothing.
    pub async fn does_all_eight_tools(&self, image: &str, ssh_key: &str) {
        let info = self.info().await.unwrap();
        for text in [
            &info.hostname,
            &info.os,
            &info.kernel_version,
            &info.incus_version,
        ] {
            assert!(!text.is_empty(), "{info:?}");
        }
        let counts = |info: &Info| {
            (
                info.containers_running,
                info.containers_stopped,
                info.containers_total,
            )
        };
        assert_eq!(counts(&info), (0, 0, 0));
        assert!(self.list().await.unwrap().is_empty());
        assert!(self.metrics("").await.unwrap().is_empty());

        let small = || Limits {
            cpu: "1".into(),
            memory: "512MB".into(),
            disk: "3GB".into(),
        };
        let keys = [ssh_key.to_owned()];
        let (made, message) = self.create("alice", small(), &keys, image).await.unwrap();
        assert!(message.contains("alice-container"), "{message}");
        assert_eq!(
            (
                made.name.as_str(),
                made.username.as_str(),
                made.state.as_str()
            ),
            ("alice-container", "alice", "running")
        );
        // As given, not as it is counted.
        assert_eq!(made.resources, small());
        assert_eq!(
            (made.ssh_keys.as_slice(), made.image.as_str()),
            (&keys[..], image)
        );
        assert!(made.docker_enabled && made.labels.is_empty());
        assert!(made.created_at > 1_700_000_000 && made.updated_at >= made.created_at);
        assert!(
            made.network
                .ip_address
                .parse::<std::net::Ipv4Addr>()
                .is_ok(),
            "{made:?}"
        );
        assert_eq!(made.network.interface, "eth0");
        assert!(!made.network.mac_address.is_empty() && !made.network.bridge.is_empty());

        // It is measured behind the answer.
        let (got, measured) = wait_for(Duration::from_secs(10), "it is measured", async || {
            let (got, measured) = self.get("alice").await.unwrap();
            measured.map(|measured| (got, measured)).ok_or("not yet")
        })
        .await;
        assert_eq!(
            (got.state.as_str(), got.created_at),
            ("running", made.created_at)
        );
        let listed = self.list().await.unwrap();
        assert_eq!(
            (listed.len(), listed[0].name.as_str()),
            (1, "alice-container")
        );
        let of_all = self.metrics("").await.unwrap();
        let of_one = self.metrics("alice").await.unwrap();
        assert_eq!((of_all.len(), of_one.len()), (1, 1));
        for sample in [&measured, &of_all[0], &of_one[0]] {
            assert_eq!(sample.name, "alice-container");
            let told = [
                sample.memory_usage_bytes,
                sample.memory_peak_bytes,
                sample.disk_usage_bytes,
            ];
            assert!(told.iter().all(|bytes| *bytes > 0), "{sample:?}");
            assert!(sample.process_count > 0, "{sample:?}");
            assert!(sample.network_rx_bytes >= 0 && sample.network_tx_bytes >= 0);
            assert!(sample.cpu_usage_seconds >= 0);
        }

        let refused = self.delete("alice", false).await.unwrap_err();
        assert!(
            refused.starts_with("API error (status 409): {"),
            "{refused}"
        );
        assert_eq!(self.stop("alice", false).await.unwrap().1.state, "stopped");
        assert_eq!(self.get("alice").await.unwrap().0.state, "stopped");
        assert_eq!(counts(&self.info().await.unwrap()), (0, 1, 1));
        let (message, started) = self.start("alice").await.unwrap();
        assert_eq!(started.state, "running");
        assert!(message.contains("alice-container"), "{message}");
        assert_eq!(counts(&self.info().await.unwrap()), (1, 0, 1));
        assert_eq!(self.stop("alice", true).await.unwrap().1.state, "stopped");
        assert_eq!(self.start("alice").await.unwrap().1.state, "running");
        let (message, name) = self.delete("alice", true).await.unwrap();
        assert!(name == "alice-container" && message.contains("alice-container"));
        let gone = self.get("alice").await.unwrap_err();
        assert!(gone.starts_with("API error (status 404): {"), "{gone}");

        let stranger = Self::new(&self.url, "eyJ");
        assert_eq!(
            stranger.list().await.unwrap_err(),
            r#"API error (status 401): {"error": "invalid token", "code": 401}"#
        );
    }
}
