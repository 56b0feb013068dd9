//! One preparation for all who want the same image: the first begins it, the others wait with it.
//! When none of them wants it any more it is cut off. How it failed is told to those who waited, and
//! not remembered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use containarium_contract::{ImageProgress, ImageRef};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{ImageError, Prepared};

/// How a preparation ended.
pub(crate) type Landed = Result<Prepared, Arc<ImageError>>;

/// Where a preparation stands.
#[derive(Clone, Debug)]
pub(crate) enum Flight {
    Under(ImageProgress),
    Landed(Landed),
}

/// Somebody who waits for a preparation. The last to be dropped cuts it off.
#[derive(Clone, Debug)]
pub(crate) struct Aboard {
    flight: watch::Receiver<Flight>,
    _interest: Arc<DropGuard>,
}

impl Aboard {
    /// Where it stands.
    pub(crate) fn now(&mut self) -> Flight {
        self.flight.borrow_and_update().clone()
    }

    /// When it has moved on; false where it fell, which is a fault of ours.
    pub(crate) async fn moved(&mut self) -> bool {
        self.flight.changed().await.is_ok()
    }
}

#[derive(Debug)]
struct Known {
    flight: watch::Receiver<Flight>,
    interest: Weak<DropGuard>,
}

/// The preparations under way, by image and whether Docker is wanted.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<(ImageRef, bool), Known>>);

impl Flights {
    /// The preparation of this image under way, or a new one, which `begin` sees to the end, or to
    /// where its token says that it shall stop.
    pub(crate) fn join(
        &self,
        image: &ImageRef,
        docker: bool,
        closing: &CancellationToken,
        begin: impl FnOnce(watch::Sender<Flight>, CancellationToken),
    ) -> Aboard {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has landed, or fallen, has let go of the sender.
        all.retain(|_, known| known.flight.has_changed().is_ok());
        let key = (image.clone(), docker);
        if let Some(known) = all.get(&key)
            && let Some(interest) = known.interest.upgrade()
        {
            return Aboard {
                flight: known.flight.clone(),
                _interest: interest,
            };
        }
        let (sender, flight) = watch::channel(Flight::Under(super::step(format!(
            "waiting to prepare {image}"
        ))));
        let token = closing.child_token();
        let interest = Arc::new(token.clone().drop_guard());
        let known = Known {
            flight: flight.clone(),
            interest: Arc::downgrade(&interest),
        };
        all.insert(key, known);
        drop(all);
        begin(sender, token);
        Aboard {
            flight,
            _interest: interest,
        }
    }

    /// What is being prepared, and how far it is.
    pub(crate) fn under_way(&self) -> Vec<(ImageRef, bool, ImageProgress)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |((image, docker), known): (&(ImageRef, bool), &Known)| {
            if known.flight.has_changed().is_err() {
                return None;
            }
            match &*known.flight.borrow() {
                Flight::Under(progress) => Some((image.clone(), *docker, progress.clone())),
                Flight::Landed(_) => None,
            }
        };
        all.iter().filter_map(told).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn landed(mut aboard: Aboard) -> Option<Landed> {
        loop {
            if let Flight::Landed(landed) = aboard.now() {
                return Some(landed);
            }
            if !aboard.moved().await {
                return None;
            }
        }
    }

    #[tokio::test]
    async fn those_who_come_meanwhile_wait_with_the_first_and_those_after_begin_anew() {
        let (flights, open) = (Flights::default(), CancellationToken::new());
        let image: ImageRef = "images:debian/13".parse().unwrap();
        let mut first = None;
        let one = flights.join(&image, false, &open, |sender, _| first = Some(sender));
        let other = flights.join(&image, false, &open, |_, _| panic!("a second preparation"));
        let mut with_docker = None;
        let _third = flights.join(&image, true, &open, |sender, _| with_docker = Some(sender));
        assert_eq!(flights.under_way().len(), 2);

        let failed = Err(Arc::new(ImageError::Unknown(image.clone())));
        first.take().unwrap().send_replace(Flight::Landed(failed));
        assert!(landed(one).await.unwrap().is_err());
        assert!(landed(other).await.unwrap().is_err());
        assert_eq!(flights.under_way().len(), 1);
        let mut again = false;
        flights.join(&image, false, &open, |_, _| again = true);
        assert!(again, "a failure is not remembered");
    }

    #[tokio::test]
    async fn a_preparation_that_falls_is_told() {
        let image: ImageRef = "images:debian/13".parse().unwrap();
        let open = CancellationToken::new();
        let aboard = Flights::default().join(&image, false, &open, |sender, _| drop(sender));
        assert!(landed(aboard).await.is_none());
    }

    #[tokio::test]
    async fn the_last_who_does_not_want_it_any_more_cuts_it_off() {
        let (flights, open) = (Flights::default(), CancellationToken::new());
        let image: ImageRef = "images:debian/13".parse().unwrap();
        let mut pilot = None;
        let one = flights.join(&image, false, &open, |sender, token| {
            pilot = Some((sender, token));
        });
        let other = flights.join(&image, false, &open, |_, _| panic!("a second preparation"));
        let (_sender, token) = pilot.unwrap();
        drop(one);
        assert!(!token.is_cancelled());
        drop(other);
        assert!(token.is_cancelled() && !open.is_cancelled());
    }
}
