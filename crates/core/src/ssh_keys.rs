//! Who may log in: keys seen, added, and removed by fingerprint. How sshd comes to read them is in
//! `engine/login_keys.rs`.
//!
//! What is listed is never less than what logs in. So a key that is added is noted first and in
//! force after that; one that is removed is out of force first. Where a change breaks off in
//! between, the same change again completes it.

use std::time::Duration;

use containarium_contract::{
    AddSshKey, CreateContainer, Effect, Fingerprint, ListSshKeys, RemoveSshKey, SshKey, SshKeyList,
    SshKeysChanged, SshPublicKey, State,
};

use crate::{
    Asked, Begun, Containarium, Error, Principal, Record, clock,
    engine::login_keys::NotWritten,
    operations::{Plan, Run},
    step::Step,
    store::Spec,
    work::Work,
};

/// How long a change of keys may take.
const WITHIN: Duration = Duration::from_secs(5 * 60);
/// The most keys of one container.
const MOST: usize = 100;

/// The keys of a request, each once.
pub(crate) fn distinct(request: &CreateContainer) -> Result<Vec<SshPublicKey>, Error> {
    let mut keys: Vec<SshPublicKey> = Vec::new();
    for key in &request.ssh_keys {
        if !keys
            .iter()
            .any(|known| known.fingerprint() == key.fingerprint())
        {
            keys.push(key.clone());
        }
    }
    if keys.len() > MOST {
        return Err(too_many(request.username.clone()));
    }
    Ok(keys)
}

fn too_many(username: containarium_contract::Username) -> Error {
    Error::TooManyKeys {
        username,
        most: MOST,
    }
}

impl Containarium {
    /// The keys that may log in.
    pub async fn list_ssh_keys(
        &self,
        who: &Principal,
        request: ListSshKeys,
    ) -> Result<SshKeyList, Error> {
        let record = self.find(who, Effect::Read, &request.username)?;
        Ok(SshKeyList {
            ssh_keys: shown(&record.spec.ssh_keys),
        })
    }

    /// Lets one more key log in. One that may already is written again: that mends what was removed
    /// inside.
    pub async fn add_ssh_key(
        &self,
        asked: impl Into<Asked>,
        request: AddSshKey,
    ) -> Result<SshKeysChanged, Error> {
        self.done(self.begin_add_ssh_key(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_add_ssh_key(
        &self,
        asked: Asked,
        request: AddSshKey,
    ) -> Result<Begun<AddSshKey>, Error> {
        let who = asked.who.clone();
        let judged = async {
            let record = self.find_ready(&who, Effect::Write, &request.username)?;
            let key = request.key.clone();
            Ok(Plan::about(&record, Work::AddSshKey { key }, WITHIN))
        };
        self.begin(asked, &request, judged).await
    }

    /// Stops a key from logging in.
    pub async fn remove_ssh_key(
        &self,
        asked: impl Into<Asked>,
        request: RemoveSshKey,
    ) -> Result<SshKeysChanged, Error> {
        self.done(self.begin_remove_ssh_key(asked.into(), request).await?)
            .await
    }

    /// Begins to.
    pub async fn begin_remove_ssh_key(
        &self,
        asked: Asked,
        request: RemoveSshKey,
    ) -> Result<Begun<RemoveSshKey>, Error> {
        let who = asked.who.clone();
        let judged = async {
            let record = self.find_ready(&who, Effect::Write, &request.username)?;
            let work = Work::RemoveSshKey {
                fingerprint: request.fingerprint.clone(),
                force: request.force,
            };
            Ok(Plan::about(&record, work, WITHIN))
        };
        self.begin(asked, &request, judged).await
    }

    /// Whether a change of keys comes to sshd at all, and when, in words.
    async fn login_with_keys(&self, record: &Record) -> Result<&'static str, Error> {
        let (engine, instance) = (&self.inner.engine, record.instance());
        let failed = |error| self.keys_failed(record, error);
        let (state, reads) =
            tokio::join!(engine.state(&instance), engine.reads_login_keys(&instance));
        let state = state.map_err(failed)?;
        if !reads.map_err(failed)? {
            return Err(Error::KeysNotRead(record.username.clone()));
        }
        Ok(match state {
            Some(State::Running) => " now",
            Some(State::Stopped) => " once it is started",
            Some(State::Frozen) => " once it goes on",
            Some(
                State::Creating
                | State::Starting
                | State::Stopping
                | State::Error
                | State::Deleting
                | State::Deleted,
            )
            | None => "",
        })
    }

    async fn tag_keys(&self, record: &Record, keys: &[SshPublicKey]) -> Result<(), Error> {
        let instance = record.instance();
        let tagged = self.inner.engine.tag_login_keys(&instance, keys).await;
        tagged.map_err(|error| self.keys_failed(record, error))
    }

    fn not_written(&self, record: &Record, why: NotWritten) -> Error {
        match why {
            NotWritten::NoSpace(cause) => Error::NoSpace(cause),
            NotWritten::InTheWay(cause) => Error::KeysInTheWay {
                username: record.username.clone(),
                cause,
            },
            NotWritten::Failed(cause) => self.keys_failed(record, cause),
            NotWritten::Unknown(cause) => Error::EngineAway(cause),
        }
    }

    fn keys_failed(&self, record: &Record, error: containarium_incus::Error) -> Error {
        self.failed_in("change of keys", record, Step::Write, error, String::new())
    }
}

/// Another key, from wherever an earlier daemon left it.
pub(crate) async fn run_add(run: &mut Run, key: SshPublicKey) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.ready_record()?;
    let before = &record.spec.ssh_keys;
    let known = before.iter().any(|k| k.fingerprint() == key.fingerprint());
    if !known && before.len() >= MOST {
        return Err(too_many(record.username.clone()));
    }
    run.begin(Step::Write)?;
    let when = core.login_with_keys(&record).await?;
    let name = record.username.container_name();
    let added = key.fingerprint().clone();
    let mut keys = before.clone();
    if !known {
        keys.push(key);
        note_keys(run, &record, &keys).await?;
    }
    let instance = record.instance();
    if let Err(why) = core.inner.engine.put_login_keys(&instance, &keys).await {
        let in_force = matches!(why, NotWritten::Unknown(_));
        if !known && !in_force {
            note_keys(run, &record, before).await?;
        }
        return Err(core.not_written(&record, why));
    }
    core.tag_keys(&record, &keys).await?;
    run.passed(Step::Write);
    run.begin_anyway(Step::Commit);
    let message = if known && !run.is_resumed() {
        format!("{added} may log in to {name} already.")
    } else {
        format!("{added} may log in to {name}{when}.")
    };
    run.succeed(&changed(message, &keys), |_| Ok(())).await
}

/// A key less, from wherever an earlier daemon left it.
pub(crate) async fn run_remove(
    run: &mut Run,
    fingerprint: Fingerprint,
    force: bool,
) -> Result<(), Error> {
    let core = run.core.clone();
    let record = run.ready_record()?;
    let before = &record.spec.ssh_keys;
    let mut keys = before.clone();
    keys.retain(|key| *key.fingerprint() != fingerprint);
    if keys.len() == before.len() && !run.is_resumed() {
        return Err(Error::NoSuchKey {
            username: record.username.clone(),
            fingerprint,
            there: before.iter().map(|k| k.fingerprint().clone()).collect(),
        });
    }
    if keys.is_empty() && !force {
        return Err(Error::LastKey {
            username: record.username.clone(),
            fingerprint,
        });
    }
    run.begin(Step::Write)?;
    core.login_with_keys(&record).await?;
    let written = core
        .inner
        .engine
        .put_login_keys(&record.instance(), &keys)
        .await;
    written.map_err(|why| core.not_written(&record, why))?;
    core.tag_keys(&record, &keys).await?;
    run.passed(Step::Write);
    run.begin_anyway(Step::Commit);
    let mut message = format!(
        "{fingerprint} no longer logs in to {}. Sessions that are open stay open, and \
         ~/.ssh/authorized_keys inside is left as its user made it.",
        record.username.container_name()
    );
    if keys.is_empty() {
        message += " It was the last key that Containarium manages.";
    }
    let answer = changed(message, &keys);
    let (id, spec, now) = (record.id.clone(), with_keys(&record, &keys), clock::now());
    run.succeed(&answer, move |tx| tx.set_spec(&id, &spec, now))
        .await
}

async fn note_keys(run: &mut Run, record: &Record, keys: &[SshPublicKey]) -> Result<(), Error> {
    let (id, spec, now) = (record.id.clone(), with_keys(record, keys), clock::now());
    run.note(move |tx| tx.set_spec(&id, &spec, now)).await
}

fn with_keys(record: &Record, keys: &[SshPublicKey]) -> Spec {
    Spec {
        ssh_keys: keys.to_vec(),
        ..record.spec.clone()
    }
}

fn changed(message: String, keys: &[SshPublicKey]) -> SshKeysChanged {
    SshKeysChanged {
        message,
        ssh_keys: shown(keys),
    }
}

fn shown(keys: &[SshPublicKey]) -> Vec<SshKey> {
    keys.iter().map(SshKey::from).collect()
}
