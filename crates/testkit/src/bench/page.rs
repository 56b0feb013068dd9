//! `docs/benchmarks.md`.

use super::{
    run::{Outcome, Rounds},
    stages,
    table::{HEADING, lines},
    targets::targets,
};

/// The page, whole.
pub(super) fn page(outcome: &Outcome) -> String {
    let mut page = String::from(
        "# Benchmarks\n\n\
         Made by `make bench`: ours, the raw Incus API and the `incus` command in turn, each as the first \
         of a round in turn, in one run, on one Incus that does nothing else. The raw API is sent the very request that the daemon sent for the same \
         container: same image, storage, network, limits, user and key. Nobody sleeps; what is dialled is \
         dialled until it answers. The first round warms up and is not counted.\n\n\
         Seconds differ from machine to machine, the ratios less: **× raw** is p50 as a multiple of the raw \
         API's. **values** is how many were measured. p95 and p99 are values among them (nearest rank): of fewer than 20 \
         a p95, of fewer than 100 a p99 is the largest, and marked `max`. For milliseconds and MiB less is better, for what is per second more.\n\n\
         ![p50 and p99 of each way](benchmarks.svg)\n\n\
         ## The machine\n\n| | |\n|---|---|\n",
    );
    for (name, value) in &outcome.machine.0 {
        page += &row([*name, value.as_str()]);
    }
    page += &row(["Rounds", &rounds(outcome.rounds)]);
    page += "\n## What is wanted\n\n| | values | measured | |\n|---|---:|---:|---|\n";
    for wanted in targets(&outcome.tally) {
        let [values, measured, verdict] = wanted.told();
        page += &row([wanted.what, &values, &measured, &verdict]);
    }
    page += &waterfall(outcome);
    page += "\n## What was measured\n";
    let mut section = "";
    for (of, cells) in lines(&outcome.tally) {
        if of != section {
            section = of;
            page += &format!("\n### {section}\n\n");
            page += &row(HEADING);
            page += "|---|---|---|---:|---:|---:|---:|---:|\n";
        }
        page += &row(cells.each_ref().map(String::as_str));
    }
    page += "\n## How\n\n";
    let mut told = Vec::new();
    for measured in &outcome.tally.rows {
        let subject = measured.subject;
        if !told.contains(&subject.name) {
            told.push(subject.name);
            page += &format!("- **{}**: {}.\n", subject.name, subject.how);
        }
    }
    if !outcome.tally.left_out.is_empty() {
        page += "\n## Not measured\n\n";
        for what in &outcome.tally.left_out {
            page += &format!("- {what}\n");
        }
    }
    page
}

/// Where a cold create goes, as a section; nothing where that is not known.
fn waterfall(outcome: &Outcome) -> String {
    let lines = outcome.tally.waterfall.lines();
    if lines.is_empty() {
        return String::new();
    }
    let mut section = String::from(
        "\n## Where a cold create goes\n\n\
         Ours, in its order, milliseconds from the request: stages that follow one another, and (–) what goes on inside \
         them. The daemon's are those of the operation, in whole milliseconds; the guest's are what its systemd tells, \
         whose clock is the host's.\n\n",
    );
    section += &row(stages::HEADING);
    section += "|---|---|---:|---:|---:|---:|\n";
    for cells in &lines {
        section += &row(cells.each_ref().map(String::as_str));
    }
    section
}

fn rounds(rounds: Rounds) -> String {
    let Rounds {
        each,
        standby,
        long,
    } = rounds;
    format!(
        "{each}; {standby} of creates from standby; {long} of bursts, requests per second and throughput"
    )
}

/// One line of a table. What would end a cell is written otherwise.
fn row<const N: usize>(cells: [&str; N]) -> String {
    let cells = cells.map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::{machine::Machine, subject::LIST, tally::Tally, way::Way};

    #[test]
    fn a_page_names_the_machine_what_how_and_what_is_missing() {
        let mut tally = Tally::default();
        tally.note_at(&LIST, Some(1), Way::Ours, 1.5);
        tally.note_at(&LIST, Some(200), Way::Ours, 2.5);
        tally.left_out.push("the moon".into());
        let machine = Machine(vec![("Storage drivers in use", "btrfs | dir".into())]);
        let page = page(&Outcome {
            machine,
            tally,
            rounds: Rounds {
                each: 7,
                standby: 20,
                long: 2,
            },
        });
        for line in [
            "| Storage drivers in use | btrfs \\| dir |",
            "| Rounds | 7; 20 of creates from standby; 2 of bursts, requests per second and throughput |",
            "### List and get",
            "| list, 1 container | ms | ours | 1 | 1.50 | 1.50 max | 1.50 max | – |",
            "- the moon",
        ] {
            assert!(page.lines().any(|one| one == line), "{line} in\n{page}");
        }
        assert_eq!(page.matches("- **list**: ours").count(), 1);
    }
}
