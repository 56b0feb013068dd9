//! One preparation for all who want the same image: the first begins it, the others wait with it.
//! It goes on when they go away. How it failed is told to those who waited, and not remembered.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use containarium_contract::{ImageProgress, ImageRef};
use tokio::sync::watch;

use super::{ImageError, Prepared};

/// How a preparation ended.
pub(crate) type Landed = Result<Prepared, Arc<ImageError>>;

/// Where a preparation stands.
#[derive(Clone, Debug)]
pub(crate) enum Flight {
    Under(ImageProgress),
    Landed(Landed),
}

/// The preparations under way, by image and whether Docker is wanted.
#[derive(Debug, Default)]
pub(crate) struct Flights(Mutex<HashMap<(ImageRef, bool), watch::Receiver<Flight>>>);

impl Flights {
    /// The preparation of this image under way, or a new one, which `begin` sees to the end.
    pub(crate) fn join(
        &self,
        image: &ImageRef,
        docker: bool,
        begin: impl FnOnce(watch::Sender<Flight>),
    ) -> watch::Receiver<Flight> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has landed, or fallen, has let go of the sender.
        all.retain(|_, flight| flight.has_changed().is_ok());
        let key = (image.clone(), docker);
        if let Some(flight) = all.get(&key) {
            return flight.clone();
        }
        let (sender, flight) = watch::channel(Flight::Under(super::step(format!(
            "waiting to prepare {image}"
        ))));
        all.insert(key, flight.clone());
        drop(all);
        begin(sender);
        flight
    }

    /// What is being prepared, and how far it is.
    pub(crate) fn under_way(&self) -> Vec<(ImageRef, bool, ImageProgress)> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |((image, docker), flight): (&(ImageRef, bool), &watch::Receiver<Flight>)| {
            if flight.has_changed().is_err() {
                return None;
            }
            match &*flight.borrow() {
                Flight::Under(progress) => Some((image.clone(), *docker, progress.clone())),
                Flight::Landed(_) => None,
            }
        };
        all.iter().filter_map(told).collect()
    }
}

/// Waits for the end; `None` where it fell, which is a fault of ours.
pub(crate) async fn landed(mut flight: watch::Receiver<Flight>) -> Option<Landed> {
    let landed = |flight: &Flight| matches!(flight, Flight::Landed(_));
    match flight.wait_for(landed).await.as_deref() {
        Ok(Flight::Landed(landed)) => Some(landed.clone()),
        Ok(Flight::Under(_)) | Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn those_who_come_meanwhile_wait_with_the_first_and_those_after_begin_anew() {
        let flights = Flights::default();
        let image: ImageRef = "images:debian/13".parse().unwrap();
        let mut first = None;
        let one = flights.join(&image, false, |sender| first = Some(sender));
        let other = flights.join(&image, false, |_| panic!("a second preparation"));
        let mut with_docker = None;
        flights.join(&image, true, |sender| with_docker = Some(sender));
        assert_eq!(flights.under_way().len(), 2);

        let failed = Err(Arc::new(ImageError::Unknown(image.clone())));
        first.take().unwrap().send_replace(Flight::Landed(failed));
        assert!(landed(one).await.unwrap().is_err());
        assert!(landed(other).await.unwrap().is_err());
        assert_eq!(flights.under_way().len(), 1);
        let mut again = false;
        flights.join(&image, false, |_| again = true);
        assert!(again, "a failure is not remembered");
    }

    #[tokio::test]
    async fn a_preparation_that_falls_is_told() {
        let image: ImageRef = "images:debian/13".parse().unwrap();
        let flight = Flights::default().join(&image, false, drop);
        assert!(landed(flight).await.is_none());
    }
}
