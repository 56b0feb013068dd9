//! `containarium init`: its options. What it does is core's.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Instant,
};

use clap::Args;
use containarium_contract::{ByteSize, ImageRef};
use containarium_core::{
    StoreError, Unsound,
    images::ImageError,
    secret,
    setup::{self, Driver, PoolChoice, SetupError, Subnet},
};

use crate::{
    failure::{Exit, Failure},
    image_remotes::ImageRemotes,
    place::Place,
};

/// Prepare this server: Incus's project, storage, bridge and images
#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The installation's name, and that of everything of it in Incus
    #[arg(long, env = "CONTAINARIUM_NAME", default_value = "containarium")]
    pub(crate) name: String,
    /// Store containers on this empty disk or partition, which is formatted
    #[arg(long, value_name = "DEVICE", group = "storage")]
    pub(crate) pool_device: Option<PathBuf>,
    /// Store containers in a sparse file of at most this size, such as 200GiB; three quarters of
    /// what is free unless given
    #[arg(long, value_name = "SIZE", group = "storage")]
    pub(crate) pool_size: Option<ByteSize>,
    /// Store containers in this pool, which Incus has already; `containarium purge` leaves it
    #[arg(long, value_name = "NAME", group = "storage")]
    pub(crate) pool: Option<String>,
    /// What containers are stored with: zfs, lvm (thin), btrfs or dir; the first of them that Incus
    /// can use unless given, but never dir, which copies whole images and limits no disk
    #[arg(long, value_name = "DRIVER")]
    pub(crate) pool_driver: Option<Driver>,
    /// The containers' network, such as 10.20.0.0/24; a /16 that nothing here uses unless given
    #[arg(long, value_name = "CIDR")]
    pub(crate) subnet: Option<Subnet>,
    /// What a create without an image gets, and what is prepared now [default: that of the last
    /// time; at first images:ubuntu/24.04 where its server can be reached, else this host's own
    /// release, built from its package mirror]
    #[arg(long, env = "CONTAINARIUM_IMAGE")]
    pub(crate) image: Option<ImageRef>,
    /// Take up an installation of this name that Incus has and whose store is lost; no daemon of it
    /// may run anywhere
    #[arg(long)]
    pub(crate) recover: bool,
    #[command(flatten)]
    pub(crate) image_remotes: ImageRemotes,
    #[command(flatten)]
    pub(crate) place: Place,
}

impl Init {
    pub(crate) async fn run(self) -> Result<(), Failure> {
        let ask = setup::Init {
            name: self.name,
            state_dir: self.place.state.state_dir,
            engine: self.place.engine.path(),
            pool: match (self.pool_device, self.pool_size, self.pool) {
                (Some(device), _, _) => PoolChoice::Device(device),
                (None, _, Some(pool)) => PoolChoice::Existing(pool),
                (None, size, None) => PoolChoice::File(size.map(|size| size.bytes())),
            },
            driver: self.pool_driver,
            subnet: self.subnet,
            image: self.image,
            remotes: self.image_remotes.into(),
            recover: self.recover,
        };
        let begun = Instant::now();
        let state_dir = ask.state_dir.clone();
        let report = |line: &str| {
            let _ = writeln!(
                io::stdout(),
                "{:6.1} s  {line}",
                begun.elapsed().as_secs_f64()
            );
        };
        let installation = setup::init(&ask, &report).await.map_err(refused)?;
        secret::make_for_machine(&state_dir)
            .map_err(|e| Failure::new(Exit::Other, e.to_string()))?;
        report(&format!(
            "{} is ready; containers are made from {}",
            installation.name, installation.default_image
        ));
        Ok(())
    }
}

/// What stops a setup is mostly something that must be there first.
pub(crate) fn refused(error: SetupError) -> Failure {
    let exit = match &error {
        SetupError::Engine { .. }
        | SetupError::Unrecoverable { .. }
        | SetupError::Store(StoreError::Unsound(_))
        | SetupError::Untrusted
        | SetupError::Clustered
        | SetupError::NoSubnet
        | SetupError::NoRoutes(_)
        | SetupError::NoUids(_)
        | SetupError::NoPool { .. }
        | SetupError::NoDriver(_)
        | SetupError::Unproven { .. }
        | SetupError::Host { .. } => Exit::Missing,
        SetupError::Name(_)
        | SetupError::NothingToRecover(_)
        | SetupError::WrongName(_)
        | SetupError::SmallPool { .. }
        | SetupError::Limitless { .. }
        | SetupError::DirElsewhere
        | SetupError::Image(ImageError::NotAllowed { .. } | ImageError::Unfit { .. }) => {
            Exit::Usage
        }
        SetupError::Foreign { .. }
        | SetupError::Lost { .. }
        | SetupError::Served { .. }
        | SetupError::SubnetTaken { .. }
        | SetupError::Device { .. }
        | SetupError::Fixed { .. } => Exit::Conflict,
        SetupError::Image(ImageError::Unknown(_) | ImageError::Unreachable { .. }) => {
            Exit::Unreachable
        }
        SetupError::Command { .. } | SetupError::Image(_) | SetupError::Store(_) => Exit::Other,
    };
    let failure = Failure::new(exit, error.to_string());
    match &error {
        SetupError::Store(StoreError::Unsound(unsound)) => failure.with_hint(repair(unsound)),
        other => match other.command() {
            Some(command) => failure.with_hint(format!("run `{command}`")),
            None => failure,
        },
    }
}

/// What to do about a store that is torn: a sentence, and a command on each line after it.
pub(crate) fn repair(unsound: &Unsound) -> String {
    let (what, commands) = unsound.repair();
    format!("{what}:\n  {}", commands.join("\n  "))
}

#[cfg(test)]
mod tests {
    use crate::command::tests::{parsed, refused};

    #[test]
    fn storage_is_chosen_in_one_way() {
        parsed("init --pool-device /dev/sdb --subnet 10.20.0.0/24");
        parsed("init --pool-size 200GiB");
        parsed("init --pool tank");
        for two in [
            "--pool-device /dev/sdb --pool-size 20GiB",
            "--pool tank --pool-size 20GiB",
        ] {
            assert!(
                refused(&format!("init {two}")).contains("cannot be used with"),
                "{two}"
            );
        }
    }

    #[test]
    fn a_subnet_that_cannot_be_is_refused_before_anything_is_asked() {
        for bad in ["10.20.0.1/24", "10.20.0.0/30", "8.8.0.0/16", "10.20.0.0"] {
            let error = refused(&format!("init --subnet {bad}"));
            assert!(error.contains("'--subnet <CIDR>'"), "{error}");
        }
    }
}
