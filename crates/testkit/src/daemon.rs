//! A daemon in this process, on a port and a store of its own.

use std::{
    net::IpAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use containarium_client::{Client, Token};
use containarium_contract::{
    Container, CreateContainer, Created, DeleteContainer, Face, Restrictions,
};
use containarium_core::{
    Incus, Patience, Principal, Role, Settings, StandbyCount, images::Remotes,
    secret::SecretSource, token,
};
use containarium_daemon::{Config, Daemon};
use secrecy::{ExposeSecret as _, SecretSlice};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use ulid::Ulid;

use crate::{Answer, Bed, Key, slate::Slate};

/// A running daemon. Dropping it ends it without grace; one of the live suite fails the test then that
/// left something behind.
pub struct TestDaemon {
    /// `http://ADDRESS:PORT`.
    pub url: String,
    /// Of the live suite's, alone: where its `INCUS_DIR` is, and what it owes.
    slate: Option<(PathBuf, Slate)>,
    state: Arc<TempDir>,
    engine: Incus,
    settings: Settings,
    secret: SecretSlice<u8>,
    stop: CancellationToken,
    serving: JoinHandle<()>,
}

impl TestDaemon {
    /// On the live suite's engine, with a fresh copy of the store that `init` left.
    pub async fn on(bed: &Bed) -> Self {
        let here = [127, 0, 0, 1].into();
        Self::on_copy(bed, here, Settings::default()).await
    }

    /// The same, with these image servers.
    pub async fn with_remotes(bed: &Bed, remotes: Remotes) -> Self {
        let settings = Settings {
            remotes,
            ..Settings::default()
        };
        Self::on_copy(bed, [127, 0, 0, 1].into(), settings).await
    }

    /// The same, which keeps this many standbys of the default image, with Docker.
    pub async fn with_standbys(bed: &Bed, count: u32) -> Self {
        let settings = Settings {
            standbys: vec![StandbyCount {
                image: bed.installation.default_image.clone(),
                docker: true,
                count,
            }],
            ..Settings::default()
        };
        Self::on_copy(bed, [127, 0, 0, 1].into(), settings).await
    }

    /// The same, which soon gives up what it waits for.
    pub async fn impatient(bed: &Bed) -> Self {
        let settings = Settings {
            patience: Patience {
                boot: Duration::from_secs(6),
                trial: Duration::from_secs(2),
                ..Patience::default()
            },
            ..Settings::default()
        };
        Self::on_copy(bed, [127, 0, 0, 1].into(), settings).await
    }

    /// The same, listening on another address of this machine.
    pub async fn on_at(bed: &Bed, address: IpAddr, patience: Patience) -> Self {
        let settings = Settings {
            patience,
            ..Settings::default()
        };
        Self::on_copy(bed, address, settings).await
    }

    async fn on_copy(bed: &Bed, address: IpAddr, settings: Settings) -> Self {
        let state = Arc::new(copy(bed));
        let engine = Incus::unix(&bed.socket);
        Self::started(state, engine, address, settings, Some(&bed.incus_dir)).await
    }

    /// On any engine, with this state directory.
    pub async fn with(state: Arc<TempDir>, engine: &Path) -> Self {
        let here = [127, 0, 0, 1].into();
        Self::started(state, Incus::unix(engine), here, Settings::default(), None).await
    }

    /// On the live suite's engine, reached in another way.
    pub async fn through(bed: &Bed, engine: Incus) -> Self {
        let state = Arc::new(copy(bed));
        let here = [127, 0, 0, 1].into();
        Self::started(
            state,
            engine,
            here,
            Settings::default(),
            Some(&bed.incus_dir),
        )
        .await
    }

    async fn started(
        state: Arc<TempDir>,
        engine: Incus,
        address: IpAddr,
        settings: Settings,
        incus_dir: Option<&Path>,
    ) -> Self {
        // Not found by the usual ways: the machine's own must not be a test's.
        let secret = format!("{}{}", Ulid::generate(), Ulid::generate());
        let config = Config {
            address,
            port: 0,
            secret: SecretSource {
                secret: Some(secret.clone().into()),
                file: None,
            },
            state_dir: state.path().to_owned(),
            engine: engine.clone(),
            require_tls: false,
            settings: settings.clone(),
        };
        let daemon = Daemon::start(config).await.unwrap();
        let url = format!("http://{}", daemon.address().unwrap());
        let stop = CancellationToken::new();
        let serving = tokio::spawn(daemon.serve(stop.clone()));
        let mut started = Self {
            url,
            slate: None,
            state,
            engine,
            settings,
            secret: secret.into_bytes().into(),
            stop,
            serving,
        };
        started.slate = incus_dir.map(|dir| {
            let slate = Slate::of(&started.url, started.admin_token(), dir);
            (dir.to_owned(), slate)
        });
        started
    }

    /// Something is left behind when it is dropped, or it cannot tell, and the test means that.
    pub fn leaves_a_leak(&self, why: &str) {
        println!("not looked at what is left: {why}");
        self.forgo();
    }

    fn forgo(&self) {
        if let Some((_, slate)) = &self.slate {
            slate.forgo();
        }
    }

    /// Where its store is.
    pub fn state_dir(&self) -> &Path {
        self.state.path()
    }

    /// Stops it gracefully, and starts another one on the same store.
    pub async fn restarted(self) -> Self {
        self.restarted_after(async || {}).await
    }

    /// The same, with something that happens while there is none.
    pub async fn restarted_after(self, meanwhile: impl AsyncFnOnce()) -> Self {
        // The next one owes it.
        self.forgo();
        let Self {
            state,
            engine,
            settings,
            stop,
            serving,
            slate,
            ..
        } = self;
        stop.cancel();
        serving.await.unwrap();
        meanwhile().await;
        let here = [127, 0, 0, 1].into();
        let incus_dir = slate.as_ref().map(|(dir, _)| dir.as_path());
        Self::started(state, engine, here, settings, incus_dir).await
    }

    /// Restarts it, so that it keeps deleted containers for so long from now on.
    pub async fn restarted_keeping(mut self, retention: Duration) -> Self {
        self.settings.retention = retention;
        self.restarted().await
    }

    /// Restarts it, so that it keeps this many standbys from now on.
    pub async fn restarted_with_standbys(mut self, count: u32) -> Self {
        for kept in &mut self.settings.standbys {
            kept.count = count;
        }
        self.restarted().await
    }

    /// Stops it gracefully.
    pub async fn stopped(self) {
        // Nobody is left to ask.
        self.forgo();
        self.stop.cancel();
        self.serving.await.unwrap();
    }

    /// A token for this subject with these roles, good for an hour.
    pub fn token(&self, subject: &str, roles: &[Role]) -> String {
        self.token_for(subject, roles, Duration::from_secs(3600))
    }

    /// The same, good for so long.
    pub fn token_for(&self, subject: &str, roles: &[Role], life: Duration) -> String {
        self.minted(subject, roles, Vec::new(), life)
    }

    /// The variable that gives `containarium token` this daemon's secret, and what is in it.
    pub fn secret_variable(&self) -> (&'static str, String) {
        let secret = String::from_utf8(self.secret.expose_secret().to_vec());
        ("CONTAINARIUM_JWT_SECRET", secret.unwrap())
    }

    /// The same, good for an hour and restricted, such as to `only=agent-*; max=5; read-only`.
    pub fn restricted_token(&self, subject: &str, roles: &[Role], restrictions: &str) -> String {
        let restrictions = vec![restrictions.parse().unwrap()];
        self.minted(subject, roles, restrictions, Duration::from_secs(3600))
    }

    fn minted(
        &self,
        subject: &str,
        roles: &[Role],
        restrictions: Vec<Restrictions>,
        life: Duration,
    ) -> String {
        let who = Principal {
            subject: subject.parse().unwrap(),
            roles: roles.to_vec(),
            restrictions,
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        token::mint(&self.secret, &who, now, life, Ulid::generate()).unwrap()
    }

    /// An admin's token that was good until an hour ago.
    pub fn expired_token(&self) -> String {
        let who = Principal {
            subject: "admin".parse().unwrap(),
            roles: vec![Role::Admin],
            restrictions: Vec::new(),
        };
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_secs();
        let (hour, id) = (Duration::from_secs(3600), Ulid::generate());
        token::mint(&self.secret, &who, now - 7200, hour, id).unwrap()
    }

    /// An admin's token.
    pub fn admin_token(&self) -> String {
        self.token("admin", &[Role::Admin])
    }

    /// A typed client with an admin's token.
    pub fn admin(&self) -> Client {
        Client::new(&self.url, Token::fixed(&self.admin_token()), Face::Rest).unwrap()
    }

    /// A typed client with a token of this subject.
    pub fn client_of(&self, subject: &str, roles: &[Role]) -> Client {
        let token = Token::fixed(&self.token(subject, roles));
        Client::new(&self.url, token, Face::Rest).unwrap()
    }

    /// Creates a small container with this key.
    pub async fn create(&self, username: &str, key: &Key) -> Container {
        self.create_as(username, key, json!({})).await.container
    }

    /// The same with further fields of the request.
    pub async fn create_as(&self, username: &str, key: &Key, fields: Value) -> Created {
        self.admin()
            .call(&small(username, key, fields))
            .await
            .unwrap()
    }

    /// Deletes a container, running or not.
    pub async fn delete(&self, username: &str) {
        let username = username.parse().unwrap();
        self.admin()
            .call(&DeleteContainer {
                username,
                force: true,
                purge: true,
                id: None,
                only_kept: false,
            })
            .await
            .unwrap();
    }

    /// A request as it is given, with a token or without.
    pub async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> Answer {
        self.ask_with(method, path, token, body, &[]).await
    }

    /// The same with further headers.
    pub async fn ask_with(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        Self::ask_at_with(&self.url, method, path, token, body, headers).await
    }

    /// The same of whichever daemon is at this URL.
    pub async fn ask_at(
        url: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> Answer {
        Self::ask_at_with(url, method, path, token, body, &[]).await
    }

    /// The same with further headers.
    pub async fn ask_at_with(
        url: &str,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Answer {
        let http = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([])
            .build()
            .unwrap();
        let mut request = http.request(method.parse().unwrap(), format!("{url}{path}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_owned());
        }
        let answer = request.send().await.unwrap();
        let headers = answer.headers().iter();
        Answer {
            status: answer.status().as_u16(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            body: answer.text().await.unwrap(),
        }
    }

    /// The same as an admin.
    pub async fn ask_as_admin(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        let body = body.map(|body| body.to_string());
        self.ask(method, path, Some(&self.admin_token()), body.as_deref())
            .await
    }

    /// Asks for a small container and takes whatever comes.
    pub async fn ask_to_create(&self, username: &str, key: &Key, fields: Value) -> Answer {
        let request = serde_json::to_value(small(username, key, fields)).unwrap();
        self.ask_as_admin("POST", "/v1/containers", Some(request))
            .await
    }
}

/// A fresh copy of the store that `init` left.
pub(crate) fn copy(bed: &Bed) -> TempDir {
    let state = tempfile::tempdir().unwrap();
    for file in std::fs::read_dir(&bed.state).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), state.path().join(file.file_name())).unwrap();
        }
    }
    state
}

/// The request of a container that costs a test little.
pub fn small(username: &str, key: &Key, fields: Value) -> CreateContainer {
    let mut request = json!({
        "username": username,
        "resources": {"cpu": "1", "memory": "512MiB", "disk": "3GB"},
        "sshKeys": [key.public()],
    });
    let (Some(all), Some(more)) = (request.as_object_mut(), fields.as_object()) else {
        panic!("fields are an object: {fields}");
    };
    all.extend(more.clone());
    serde_json::from_value(request).unwrap()
}
