//! What a run is asked for.

use std::path::PathBuf;

use clap::{Args, Parser};

/// How long things take: ours, the raw Incus API and the `incus` command, in turn.
///
/// Without --url it wants the private engine of scripts/with-engine, and starts a daemon of its own.
#[derive(Clone, Debug, Parser)]
#[command(name = "bench")]
pub struct Options {
    /// So many rounds are counted; of what takes long or hardly varies fewer
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// So many creates from standby are counted: as many as a p99 needs that is not the largest
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub standby_rounds: u32,
    /// One round, and no more than ten containers: shows that all of it works, and nothing else
    #[arg(long)]
    pub quick: bool,
    /// Write benchmarks.md and benchmarks.svg into this directory, where the run succeeds
    #[arg(long, value_name = "DIR", value_parser = writable)]
    pub write_docs: Option<PathBuf>,
    /// Another daemon than one of our own.
    #[command(flatten)]
    pub target: Option<Target>,
}

/// A daemon that runs already.
#[derive(Clone, Debug, Args)]
pub struct Target {
    /// A daemon that runs already, of this REST shape; only what REST and ssh can measure is measured
    #[arg(long, required = false, requires = "token_file")]
    pub url: String,
    /// A file with an admin's token of that daemon
    #[arg(long, value_name = "FILE", required = false, requires = "url")]
    pub token_file: PathBuf,
    /// Its engine, as unix:SOCKET, where it is on this host: brings the raw API and the command
    #[arg(long, value_name = "unix:SOCKET", value_parser = socket, requires_all = ["url", "project"])]
    pub engine: Option<PathBuf>,
    /// The project of its containers in that engine
    #[arg(long, requires = "engine")]
    pub project: Option<String>,
}

impl Options {
    /// How many rounds there are.
    pub fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// How many creates from standby there are.
    pub fn standby_rounds(&self) -> u32 {
        if self.quick { 1 } else { self.standby_rounds }
    }

    /// How many rounds there are of what takes seconds each: bursts, rates, throughput.
    pub fn long_rounds(&self) -> u32 {
        self.rounds().div_ceil(6)
    }

    /// The numbers of containers of which lists are made.
    pub fn listed(&self) -> &'static [u32] {
        if self.quick { &[1, 10] } else { &[1, 50, 200] }
    }

    /// How many containers are created at once.
    pub fn burst(&self) -> u32 {
        if self.quick { 3 } else { 10 }
    }
}

/// Reads a directory in which files can be made: a run takes too long to find that out at its end.
fn writable(text: &str) -> Result<PathBuf, String> {
    let dir = PathBuf::from(text);
    match tempfile::tempfile_in(&dir) {
        Ok(_gone_when_closed) => Ok(dir),
        Err(error) => Err(format!("not a directory that can be written: {error}")),
    }
}

fn socket(text: &str) -> Result<PathBuf, String> {
    let path = text.strip_prefix("unix:");
    path.map(PathBuf::from)
        .ok_or_else(|| "an engine is unix:SOCKET".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Options, clap::Error> {
        Options::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn a_daemon_that_runs_already_is_told_whole_or_not_at_all() {
        let own = read("bench --quick").unwrap();
        assert!(own.target.is_none());
        assert_eq!((own.rounds(), own.burst()), (1, 3));
        let far = read("bench --rounds 5 --url http://h:1 --token-file /t").unwrap();
        assert_eq!(far.rounds(), 5);
        assert!(far.target.unwrap().engine.is_none());
        let near = "bench --url http://h:1 --token-file /t --engine unix:/s --project p";
        let near = read(near).unwrap().target.unwrap();
        assert_eq!(near.engine, Some(PathBuf::from("/s")));
        for wrong in [
            "bench --url http://h:1",
            "bench --token-file /t",
            "bench --engine unix:/s --project p",
            "bench --url http://h:1 --token-file /t --engine unix:/s",
            "bench --url http://h:1 --token-file /t --engine /s --project p",
            "bench --rounds 0",
            "bench --standby-rounds 0",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_directory_that_cannot_be_written_is_refused_before_anything_runs() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let asked = |dir: &std::path::Path| read(&format!("bench --write-docs {}", dir.display()));
        assert_eq!(asked(dir.path()).unwrap().write_docs.unwrap(), dir.path());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        for wrong in [&dir.path().join("missing"), &file] {
            let error = asked(wrong).unwrap_err().to_string();
            let said = "not a directory that can be written";
            assert!(error.contains(said), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn what_takes_long_has_fewer_rounds_and_a_quick_run_one_of_each() {
        let rounds = |line| {
            let asked = read(line).unwrap();
            (asked.rounds(), asked.standby_rounds(), asked.long_rounds())
        };
        assert_eq!(rounds("bench"), (30, 100, 5));
        assert_eq!(rounds("bench --rounds 7 --standby-rounds 20"), (7, 20, 2));
        assert_eq!(rounds("bench --quick --rounds 7"), (1, 1, 1));
    }
}
