//! A container's state as it is written on a command line and in a table.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use containarium_contract::State;

const ALL: [State; 9] = [
    State::Creating,
    State::Running,
    State::Stopped,
    State::Frozen,
    State::Starting,
    State::Stopping,
    State::Error,
    State::Deleting,
    State::Deleted,
];

/// The contract's word for `state`.
pub(crate) fn name(state: State) -> &'static str {
    match state {
        State::Creating => "creating",
        State::Running => "running",
        State::Stopped => "stopped",
        State::Frozen => "frozen",
        State::Starting => "starting",
        State::Stopping => "stopping",
        State::Error => "error",
        State::Deleting => "deleting",
        State::Deleted => "deleted",
    }
}

/// Reads one of the names.
pub(crate) fn parser() -> impl TypedValueParser<Value = State> {
    PossibleValuesParser::new(ALL.map(name)).try_map(|text| {
        ALL.into_iter()
            .find(|state| name(*state) == text)
            .ok_or("there is no such state")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_the_contracts() {
        for state in ALL {
            assert_eq!(serde_json::to_value(state).unwrap(), name(state));
        }
    }
}
