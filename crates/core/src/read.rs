//! Reading: containers, what they use, and the host. While the engine is away, what the store
//! knows is still told.

use std::{
    fs,
    time::{Duration, SystemTime},
};

use containarium_contract::{
    Container, ContainerAnswer, ContainerList, Effect, EngineHealth, GetContainer, GetMetrics,
    HostEngine, ListContainers, Metrics, MetricsAnswer, Network, State, SystemInfo,
    SystemInfoAnswer,
};
use containarium_incus::InstanceState;

use crate::{
    Containarium, Decision, Error, Principal, Record, access::decide, containarium::shown,
};

impl Containarium {
    /// The containers that `who` may see.
    pub async fn list(
        &self,
        who: &Principal,
        request: ListContainers,
    ) -> Result<ContainerList, Error> {
        let records = self.visible(who).await?;
        let (states, engine) = match self.inner.engine.states().await.map_err(Error::from) {
            Ok(states) => (Some(states), EngineHealth::Ok),
            Err(Error::EngineAway(_)) if request.state.is_none() => {
                (None, EngineHealth::Unreachable)
            }
            Err(other) => return Err(other),
        };
        let state = |record: &Record| {
            let states = states.as_ref()?;
            Some(shown(record, states.get(&record.instance()).copied()))
        };
        let labelled =
            |record: &Record| {
                request.label.as_ref().is_none_or(|wanted| {
                    record.spec.labels.get(&wanted.key).is_some_and(|value| {
                        wanted.value.as_ref().is_none_or(|wanted| wanted == value)
                    })
                })
            };
        let all: Vec<Container> = records
            .iter()
            .filter(|r| request.owner.as_ref().is_none_or(|owner| r.owner == *owner))
            .filter(|r| labelled(r))
            .map(|r| self.view(r, state(r)))
            .filter(|c| request.state.is_none() || c.state == request.state)
            .collect();
        let total_count = all.len() as u64;
        let after = |c: &Container| {
            request
                .cursor
                .as_ref()
                .is_none_or(|last| c.username > *last)
        };
        let mut containers: Vec<Container> = all.into_iter().filter(after).collect();
        let limit = request.limit.map_or(usize::MAX, |limit| limit as usize);
        let more = containers.len() > limit;
        containers.truncate(limit);
        let next_cursor = containers
            .last()
            .filter(|_| more)
            .map(|last| last.username.clone());
        Ok(ContainerList {
            containers,
            total_count,
            next_cursor,
            engine,
        })
    }

    /// One container and what it uses.
    pub async fn get(
        &self,
        who: &Principal,
        request: GetContainer,
    ) -> Result<ContainerAnswer, Error> {
        let record = self.find(who, Effect::Read, &request.username).await?;
        match self
            .inner
            .engine
            .usage(&record.instance())
            .await
            .map_err(Error::from)
        {
            Ok(found) => Ok(ContainerAnswer {
                container: self.view(
                    &record,
                    Some(shown(&record, found.as_ref().map(|(state, _)| *state))),
                ),
                metrics: found.map(|(_, usage)| metrics(&record, &usage)),
                engine: EngineHealth::Ok,
            }),
            Err(Error::EngineAway(_)) => Ok(ContainerAnswer {
                container: self.view(&record, None),
                metrics: None,
                engine: EngineHealth::Unreachable,
            }),
            Err(other) => Err(other),
        }
    }

    /// What every container that `who` may see uses.
    pub async fn list_metrics(&self, who: &Principal) -> Result<MetricsAnswer, Error> {
        let records = self.visible(who).await?;
        let usages = self.inner.engine.usages().await?;
        let metrics = records
            .iter()
            .filter_map(|record| Some(metrics(record, usages.get(&record.instance())?)))
            .collect();
        Ok(MetricsAnswer {
            metrics,
            engine: EngineHealth::Ok,
        })
    }

    /// What one container uses.
    pub async fn get_metrics(
        &self,
        who: &Principal,
        request: GetMetrics,
    ) -> Result<MetricsAnswer, Error> {
        let record = self.find(who, Effect::Read, &request.username).await?;
        let usage = self.inner.engine.usage(&record.instance()).await?;
        let metrics = usage
            .iter()
            .map(|(_, usage)| metrics(&record, usage))
            .collect();
        Ok(MetricsAnswer {
            metrics,
            engine: EngineHealth::Ok,
        })
    }

    /// The host and what runs on it.
    pub async fn system_info(&self) -> Result<SystemInfoAnswer, Error> {
        let records = self.inner.store.containers().await?;
        let engine = &self.inner.engine;
        let asked = tokio::try_join!(
            engine.server(),
            engine.states(),
            engine.resources(),
            engine.space()
        );
        let mut info = SystemInfo {
            incus_version: None,
            engine: HostEngine::Unreachable,
            default_image: self.default_image().await?,
            os: None,
            kernel_version: None,
            hostname: None,
            containers_running: None,
            containers_stopped: None,
            containers_total: records.len() as u64,
            total_cpus: None,
            total_memory_bytes: None,
            available_memory_bytes: available_memory(),
            total_disk_bytes: None,
            available_disk_bytes: None,
            uptime_seconds: uptime(),
        };
        match asked.map_err(Error::from) {
            Ok((server, states, resources, space)) => {
                let count = |wanted| {
                    let state = |r: &Record| shown(r, states.get(&r.instance()).copied());
                    Some(records.iter().filter(|r| state(r) == wanted).count() as u64)
                };
                let host = server.environment;
                info.engine = if self.is_simulated() {
                    HostEngine::Sim
                } else {
                    HostEngine::Ok
                };
                info.incus_version = Some(host.server_version);
                info.os = Some(format!("{} {}", host.os_name, host.os_version));
                info.kernel_version = Some(host.kernel_version);
                info.hostname = Some(host.server_name);
                info.containers_running = count(State::Running);
                info.containers_stopped = count(State::Stopped);
                info.total_cpus = Some(resources.cpu.total);
                info.total_memory_bytes = Some(resources.memory.total);
                info.total_disk_bytes = Some(space.total);
                info.available_disk_bytes = Some(space.total.saturating_sub(space.used));
            }
            Err(Error::EngineAway(_)) => {}
            Err(other) => return Err(other),
        }
        Ok(SystemInfoAnswer { info })
    }

    async fn visible(&self, who: &Principal) -> Result<Vec<Record>, Error> {
        let mut records = self.inner.store.containers().await?;
        records.retain(|record| decide(who, Effect::Read, &record.owner) == Decision::Allow);
        Ok(records)
    }

    /// What callers see of a container.
    pub(crate) fn view(&self, record: &Record, state: Option<State>) -> Container {
        let spec = record.spec.clone();
        Container {
            name: record.username.container_name(),
            username: record.username.clone(),
            owner: record.owner.clone(),
            state,
            resources: spec.resources,
            ssh_keys: spec.ssh_keys,
            network: Network {
                ip_address: record.address.to_string(),
                mac_address: record.mac(),
                interface: "eth0".into(),
                bridge: self.inner.engine.installation.name.clone(),
            },
            created_at: record.created_at,
            updated_at: record.updated_at,
            labels: spec.labels,
            image: spec.image,
            docker_enabled: spec.docker,
            detail: None,
            last_exit: None,
            deleted_until: None,
        }
    }
}

fn metrics(record: &Record, usage: &InstanceState) -> Metrics {
    // Of a stopped container Incus answers zeros that mean "there is nothing to measure".
    let runs = usage.pid != 0;
    let link = usage.network.get("eth0").filter(|_| runs);
    Metrics {
        name: record.username.container_name(),
        cpu_usage_seconds: runs.then(|| Duration::from_nanos(usage.cpu.usage).as_secs()),
        memory_usage_bytes: runs.then_some(usage.memory.usage),
        memory_peak_bytes: runs
            .then_some(usage.memory.usage_peak)
            .filter(|peak| *peak > 0),
        disk_usage_bytes: usage.disk.get("root").map(|disk| disk.usage),
        network_rx_bytes: link.map(|link| link.counters.bytes_received),
        network_tx_bytes: link.map(|link| link.counters.bytes_sent),
        process_count: runs.then_some(usage.processes),
        sampled_at: humantime::format_rfc3339_seconds(SystemTime::now()).to_string(),
    }
}

/// `MemAvailable` of this host, bytes; the engine is on it, behind a unix socket.
fn available_memory() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

fn uptime() -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    text.split('.').next()?.parse().ok()
}
