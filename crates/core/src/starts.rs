//! Whose turn it is to have the engine start a container: as many at a time as this machine has cores,
//! the others in the order in which they came. The engine itself does not work on more of them at a
//! time, and keeps no order.

use std::{collections::BTreeSet, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

/// At the least between two words about one's place, of which each is written down.
const WORD: Duration = Duration::from_secs(1);
/// The same for each that is before it: of a thousand, each has a word every ten seconds.
const WORD_EACH: Duration = Duration::from_millis(10);

/// The turns, and who waits for one.
#[derive(Debug)]
pub(crate) struct Starts(watch::Sender<State>);

#[derive(Debug)]
struct State {
    free: usize,
    /// The numbers of those who wait.
    waiting: BTreeSet<u64>,
    /// The next number.
    next: u64,
}

impl State {
    fn before(&self, number: u64) -> usize {
        self.waiting.range(..number).count()
    }
}

impl Starts {
    /// So many at a time.
    pub(crate) fn new(at_a_time: usize) -> Self {
        Self(watch::Sender::new(State {
            free: at_a_time,
            waiting: BTreeSet::new(),
            next: 0,
        }))
    }

    /// A place in the queue; given up when it is dropped.
    pub(crate) fn place(&self) -> Place<'_> {
        let mut number = 0;
        self.0.send_modify(|state| {
            number = state.next;
            state.next += 1;
            state.waiting.insert(number);
        });
        Place {
            starts: self,
            state: self.0.subscribe(),
            number,
            told: None,
        }
    }

    /// A turn, waited for in silence.
    pub(crate) async fn turn(&self) -> Turn<'_> {
        let mut place = self.place();
        loop {
            if let Next::Turn(turn) = place.next().await {
                return turn;
            }
        }
    }
}

/// A place in the queue.
pub(crate) struct Place<'s> {
    starts: &'s Starts,
    state: watch::Receiver<State>,
    number: u64,
    /// How many were before it when that was last told, and until when nothing else is.
    told: Option<(usize, Instant)>,
}

/// What somebody who waits hears of.
pub(crate) enum Next<'s> {
    /// It is its turn, until this is dropped.
    Turn(Turn<'s>),
    /// So many are before it.
    Before(usize),
}

impl<'s> Place<'s> {
    /// Its turn, or how many are before it where that is news. May be dropped at any point without
    /// losing the place.
    pub(crate) async fn next(&mut self) -> Next<'s> {
        loop {
            // Marked as seen first: a turn that is given back after it was not to be had wakes us.
            let before = self.state.borrow_and_update().before(self.number);
            if let Some(turn) = self.taken() {
                return Next::Turn(turn);
            }
            let now = Instant::now();
            let again = match self.told {
                Some((last, _)) if last == before => None,
                Some((_, until)) if until > now => Some(until),
                Some(_) | None => {
                    let each = u32::try_from(before).map_or(WORD, |before| WORD_EACH * before);
                    self.told = Some((before, now + each.max(WORD)));
                    return Next::Before(before);
                }
            };
            tokio::select! {
                _sender_is_in_starts = self.state.changed() => {}
                () = sleep_until(again.unwrap_or(now)), if again.is_some() => {}
            }
        }
    }

    /// The turn, where it is its.
    fn taken(&self) -> Option<Turn<'s>> {
        let mut mine = false;
        self.starts.0.send_if_modified(|state| {
            mine = state.before(self.number) < state.free;
            if mine {
                state.waiting.remove(&self.number);
                state.free -= 1;
            }
            mine
        });
        mine.then(|| Turn(self.starts))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.starts
            .0
            .send_if_modified(|state| state.waiting.remove(&self.number));
    }
}

/// The right to have the engine start a container.
pub(crate) struct Turn<'s>(&'s Starts);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.0.send_modify(|state| state.free += 1);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        hint,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
    };

    use tokio::time::timeout;

    use super::*;

    async fn at_once<'s>(place: &mut Place<'s>) -> Option<Next<'s>> {
        timeout(Duration::ZERO, place.next()).await.ok()
    }

    async fn has_its_turn<'s>(place: &mut Place<'s>) -> Option<Turn<'s>> {
        match at_once(place).await {
            Some(Next::Turn(turn)) => Some(turn),
            Some(Next::Before(_)) | None => None,
        }
    }

    async fn before(place: &mut Place<'_>) -> Option<usize> {
        match at_once(place).await {
            Some(Next::Before(before)) => Some(before),
            Some(Next::Turn(_)) | None => None,
        }
    }

    #[tokio::test]
    async fn turns_come_in_order_and_whoever_leaves_holds_up_nobody() {
        let starts = Starts::new(1);
        let first = starts.turn().await;
        let (second, mut third, mut fourth) = (starts.place(), starts.place(), starts.place());
        assert!(has_its_turn(&mut third).await.is_none());
        drop(first);
        assert!(
            has_its_turn(&mut third).await.is_none(),
            "the second came before"
        );
        drop(second);
        let turn = has_its_turn(&mut third).await;
        assert!(turn.is_some(), "the second has left");
        assert!(has_its_turn(&mut fourth).await.is_none());
        drop(turn);
        assert!(has_its_turn(&mut fourth).await.is_some());
    }

    #[tokio::test]
    async fn ones_place_is_told_at_once_and_then_at_most_once_a_second() {
        let starts = Starts::new(1);
        let first = starts.turn().await;
        let (second, third, mut fourth) = (starts.place(), starts.place(), starts.place());
        assert_eq!(before(&mut fourth).await, Some(2));
        let begun = Instant::now();
        drop(second);
        assert_eq!(before(&mut fourth).await, None);
        assert!(matches!(fourth.next().await, Next::Before(1)));
        assert!(begun.elapsed() >= WORD);
        drop((first, third));
        assert!(matches!(fourth.next().await, Next::Turn(_)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_turn_that_is_given_back_while_somebody_looks_is_not_missed() {
        let starts = Arc::new(Starts::new(1));
        for round in 0..20_000_u32 {
            let turn = starts.turn().await;
            let looks = Arc::new(AtomicBool::new(false));
            let other = {
                let (starts, looks) = (Arc::clone(&starts), Arc::clone(&looks));
                tokio::spawn(async move {
                    looks.store(true, Ordering::Release);
                    drop(starts.turn().await);
                })
            };
            // On another thread, and a little later in each round.
            while !looks.load(Ordering::Acquire) {
                tokio::task::yield_now().await;
            }
            for _ in 0..round % 400 {
                hint::spin_loop();
            }
            drop(turn);
            let had_its_turn = timeout(Duration::from_secs(10), other).await;
            assert!(had_its_turn.is_ok(), "it sleeps in round {round}");
        }
    }
}
