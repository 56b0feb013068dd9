//! Reading: containers, what they use, and the host. Containers are told from memory, whether the
//! engine is there or not; what is measured is asked of it, and told from memory where it does not
//! answer.

use std::{
    fs,
    sync::Arc,
    time::{Duration, SystemTime},
};

use containarium_contract::{
    Container, ContainerAnswer, ContainerList, Cursor, Effect, EngineHealth, GetContainer,
    GetMetrics, HostEngine, ListContainers, Metrics, MetricsAnswer, Network, State, SystemInfo,
    SystemInfoAnswer,
};
use containarium_incus::InstanceState;

use crate::{
    Containarium, Decision, Error, Principal, Record, access::decide, clock, questions::Answer,
    store::Phase, watch::no_login,
};

impl Containarium {
    /// The containers that `who` may see.
    pub async fn list(
        &self,
        who: &Principal,
        request: ListContainers,
    ) -> Result<ContainerList, Error> {
        let engine = self.health();
        let labelled =
            |record: &Record| {
                request.label.as_ref().is_none_or(|wanted| {
                    record.spec.labels.get(&wanted.key).is_some_and(|value| {
                        wanted.value.as_ref().is_none_or(|wanted| wanted == value)
                    })
                })
            };
        let matching: Vec<(Arc<Record>, Option<State>)> = self
            .sought(who, request.state)
            .into_iter()
            .filter(|r| request.owner.as_ref().is_none_or(|owner| r.owner == *owner))
            .filter(|r| labelled(r))
            .map(|r| {
                let state = self.shown(&r);
                (r, state)
            })
            .filter(|(_, state)| request.state.is_none() || *state == request.state)
            .collect();
        let total_count = matching.len() as u64;
        let after = |record: &Record| {
            request.cursor.as_ref().is_none_or(|last| match &last.id {
                Some(id) => (&record.username, record.id.as_str()) > (&last.username, id.as_str()),
                None => record.username > last.username,
            })
        };
        let limit = request
            .limit
            .map_or(usize::MAX, |limit| limit.get() as usize);
        let mut rest = matching.iter().filter(|(record, _)| after(record));
        let containers: Vec<Container> = rest
            .by_ref()
            .take(limit)
            .map(|(record, state)| self.view(record, *state))
            .collect();
        let more = rest.next().is_some();
        let next_cursor = containers.last().filter(|_| more).map(|last| Cursor {
            username: last.username.clone(),
            // Of a name that is held there is one.
            id: last
                .id
                .clone()
                .filter(|_| last.state == Some(State::Deleted)),
        });
        Ok(ContainerList {
            containers,
            total_count,
            next_cursor,
            engine,
        })
    }

    /// Those that hold their name, in its order; or the deleted ones, where those are sought: of a name in
    /// the order of their ids, which do not change, so that pages neither lose nor repeat one.
    fn sought(&self, who: &Principal, state: Option<State>) -> Vec<Arc<Record>> {
        let allowed = |record: &Arc<Record>| {
            decide(who, Effect::Read, &record.owner, &record.username) == Decision::Allow
        };
        if state != Some(State::Deleted) {
            let mut all = self.inner.store.containers();
            all.retain(allowed);
            return all;
        }
        let mut deleted = self.inner.store.all_containers();
        deleted.retain(|record| record.phase == Phase::Deleted && allowed(record));
        deleted.sort_by(|a, b| (&a.username, &a.id).cmp(&(&b.username, &b.id)));
        deleted
    }

    /// One container and what it uses.
    pub async fn get(
        &self,
        who: &Principal,
        request: GetContainer,
    ) -> Result<ContainerAnswer, Error> {
        let record = self.find(who, Effect::Read, &request.username)?;
        let engine = self.health();
        let metrics = match (record.phase, engine) {
            (Phase::Ready, EngineHealth::Ok) => self.sample(&record),
            (Phase::Ready, EngineHealth::Unreachable) => self.inner.samples.newest(&record.id),
            (Phase::Creating | Phase::Deleting | Phase::Deleted, _) => None,
        };
        Ok(ContainerAnswer {
            container: self.view(&record, self.shown(&record)),
            metrics,
            engine,
        })
    }

    /// Returns what every container that `who` may see uses.
    pub async fn list_metrics(&self, who: &Principal) -> Result<MetricsAnswer, Error> {
        let measured = self
            .answer(&self.inner.questions.metrics, Self::measure_all)
            .await?;
        let newest = |record: &Record| match &measured {
            Answer::Now(all) => all.get(&record.id).cloned(),
            Answer::Earlier(_) => self.inner.samples.newest(&record.id),
        };
        let metrics = self
            .inner
            .store
            .containers()
            .iter()
            .filter(|record| {
                decide(who, Effect::Read, &record.owner, &record.username) == Decision::Allow
            })
            .filter_map(|record| newest(record))
            .collect();
        Ok(MetricsAnswer {
            metrics,
            engine: measured.engine(),
        })
    }

    /// Returns what one container uses.
    pub async fn get_metrics(
        &self,
        who: &Principal,
        request: GetMetrics,
    ) -> Result<MetricsAnswer, Error> {
        let record = self.find(who, Effect::Read, &request.username)?;
        let question = self.inner.samples.of(&record.id);
        let measured = self
            .answer(&question, |core| core.measure(Arc::clone(&record)))
            .await?;
        Ok(MetricsAnswer {
            engine: measured.engine(),
            metrics: measured.newest().flatten().into_iter().collect(),
        })
    }

    /// Returns the host and what runs on it.
    pub async fn system_info(&self) -> Result<SystemInfoAnswer, Error> {
        let look = async |core: Self| {
            let engine = &core.inner.engine;
            let server = async { Ok(engine.server().await?.environment) };
            let all = tokio::try_join!(server, engine.resources(), engine.space())?;
            Ok(Arc::new(all))
        };
        let default_image = self.default_image().await?;
        let host = self.answer(&self.inner.questions.host, look).await?;
        // What is told from memory is so at the end of the wait.
        let records = self.inner.store.containers();
        let mut info = SystemInfo {
            incus_version: None,
            engine: match host.engine() {
                EngineHealth::Unreachable => HostEngine::Unreachable,
                EngineHealth::Ok if self.is_simulated() => HostEngine::Sim,
                EngineHealth::Ok => HostEngine::Ok,
            },
            default_image,
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
            standby: self.standby_info(),
        };
        if self.inner.inventory.is_listed() {
            let count = |wanted| {
                let state = |r: &Record| self.shown(r);
                Some(records.iter().filter(|r| state(r) == Some(wanted)).count() as u64)
            };
            info.containers_running = count(State::Running);
            info.containers_stopped = count(State::Stopped);
        }
        if let Some(host) = host.newest() {
            let (server, resources, space) = &*host;
            info.incus_version = Some(server.server_version.clone());
            info.os = Some(format!("{} {}", server.os_name, server.os_version));
            info.kernel_version = Some(server.kernel_version.clone());
            info.hostname = Some(server.server_name.clone());
            info.total_cpus = Some(resources.cpu.total);
            info.total_memory_bytes = Some(resources.memory.total);
            info.total_disk_bytes = Some(space.total);
            info.available_disk_bytes = Some(space.total.saturating_sub(space.used));
        }
        Ok(SystemInfoAnswer { info })
    }

    /// What callers see of a container.
    pub(crate) fn view(&self, record: &Record, state: Option<State>) -> Container {
        let spec = record.spec.clone();
        Container {
            // One of an older installation may have been given any.
            id: record.id.parse().ok(),
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
            detail: self.detail(record, state),
            last_exit: record.exit.clone(),
            deleted_until: record.kept_until.map(clock::rfc3339_of),
        }
    }

    /// Why its state is what it is, where there is more to say.
    fn detail(&self, record: &Record, state: Option<State>) -> Option<String> {
        if record.phase != Phase::Ready || state != Some(State::Error) {
            return None;
        }
        let seen = self.inner.inventory.state(&record.instance());
        Some(match (seen, &record.fault) {
            (None, _) => Error::Lost(record.username.clone()).to_string(),
            (Some((State::Running, _)), _) => no_login(record),
            (Some(_), Some(fault)) => fault.clone(),
            (Some(_), None) => "Incus says that something is wrong with it".to_owned(),
        })
    }
}

pub(crate) fn metrics(record: &Record, usage: &InstanceState) -> Metrics {
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
