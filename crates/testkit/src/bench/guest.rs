//! When things began inside a container, as its systemd tells. Its monotonic clock is the host's own:
//! LXC gives no container another.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{
    place::{Made, Place},
    ssh,
};

/// How long it may take until systemd answers: a login works before its bus does.
const ANSWERS: Duration = Duration::from_secs(5);
/// Between two questions.
const PAUSE: Duration = Duration::from_millis(50);

const ASK: &str = "systemctl show -p UserspaceTimestampMonotonic && \
     systemctl show -p Id,InactiveExitTimestampMonotonic,ActiveEnterTimestampMonotonic \
     containarium-identity.service ssh.service";

/// Moments of its boot, milliseconds of the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Guest {
    /// systemd began.
    pub(super) systemd: f64,
    /// The unit that makes the user began.
    pub(super) identity: f64,
    /// It was done.
    pub(super) identified: f64,
    /// sshd said that it listens.
    pub(super) listens: f64,
}

/// Asks a container's systemd; `None` where it does not tell all of them.
pub(super) async fn look(place: &Place, made: &Made) -> Option<Guest> {
    let end = Instant::now() + ANSWERS;
    loop {
        let told = ssh::told(&place.key(), &made.username, made.address, ASK).await;
        if told.is_some() || Instant::now() > end {
            return read(&told?);
        }
        sleep(PAUSE).await;
    }
}

fn read(told: &str) -> Option<Guest> {
    // Units are told apart by an empty line, and the manager stands before the first of them.
    let id = |unit: &str| format!("Id={unit}");
    let moment = |unit: Option<&str>, property: &str| {
        let from = match unit {
            Some(unit) => {
                let mut blocks = told.split("\n\n");
                blocks.find(|block| block.lines().any(|line| line == id(unit)))?
            }
            None => told,
        };
        let mut lines = from.lines();
        let value = lines.find_map(|line| line.strip_prefix(property)?.strip_prefix('='))?;
        // What never happened was at 0.
        let microseconds: f64 = value.parse().ok()?;
        (microseconds > 0.0).then_some(microseconds / 1000.0)
    };
    let identity = Some("containarium-identity.service");
    Some(Guest {
        systemd: moment(None, "UserspaceTimestampMonotonic")?,
        identity: moment(identity, "InactiveExitTimestampMonotonic")?,
        identified: moment(identity, "ActiveEnterTimestampMonotonic")?,
        listens: moment(Some("ssh.service"), "ActiveEnterTimestampMonotonic")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOLD: &str = "UserspaceTimestampMonotonic=1000500\n\
        Id=containarium-identity.service\nActiveEnterTimestampMonotonic=1130000\n\
        InactiveExitTimestampMonotonic=1090000\n\n\
        InactiveExitTimestampMonotonic=1131000\nActiveEnterTimestampMonotonic=1150000\nId=ssh.service\n";

    #[test]
    fn moments_are_read_whatever_their_order() {
        let all = Guest {
            systemd: 1000.5,
            identity: 1090.0,
            identified: 1130.0,
            listens: 1150.0,
        };
        assert_eq!(read(TOLD), Some(all));
    }

    #[test]
    fn a_guest_without_our_units_tells_nothing() {
        let zero = TOLD.replace("=1130000", "=0");
        let other = TOLD.replace("containarium-identity", "cloud-init");
        for told in ["", "no systemd here", &zero, &other] {
            assert_eq!(read(told), None, "{told}");
        }
    }
}
