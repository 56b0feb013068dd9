//! What the store and Incus do not agree on: instances without a record, records without an instance;
//! and whether the images that containers are made from are there. It is told, never removed.

use std::collections::BTreeSet;

use containarium_incus::{Client, Instance};

use super::{Finding, probe};
use crate::{Installation, Store, engine::INSTALL_TAG, images::alias};

const LEFT: &str = "leftovers";
const IMAGES: &str = "images";

pub(super) async fn examine(
    incus: &Client,
    here: &Installation,
    store: Option<&Store>,
) -> Vec<Finding> {
    let incus = incus.in_project(&here.name);
    let mut findings = Vec::new();
    match incus.images().await {
        Ok(all) => {
            let names = all.iter().flat_map(|image| &image.aliases);
            let names: Vec<&str> = names.map(|known| known.name.as_str()).collect();
            findings.push(images(here, &names));
        }
        Err(e) => findings.push(Finding::unknown(IMAGES, format!("Incus does not say: {e}"))),
    }
    // Records come before their instances and go after them, so the instances are asked first.
    let ours = |instance: Instance| {
        let ours = instance.config.get(INSTALL_TAG) == Some(&here.id);
        ours.then_some(instance.name)
    };
    let instances = incus.each_instance(ours).await;
    let records = store.map(Store::all_containers);
    findings.push(match (instances, records) {
        (Ok(instances), Some(records)) => {
            let there: BTreeSet<String> = instances.into_iter().collect();
            let known: BTreeSet<String> = records.iter().map(|record| record.instance()).collect();
            agree(here, &there, &known)
        }
        (Err(e), _) => Finding::unknown(LEFT, format!("Incus does not say: {e}")),
        (Ok(_), None) => {
            Finding::unknown(LEFT, "the store does not say which containers there are")
        }
    });
    findings
}

fn images(here: &Installation, names: &[&str]) -> Finding {
    let image = &here.default_image;
    let missing: Vec<&str> = [(false, "without Docker"), (true, "with Docker")]
        .into_iter()
        .filter(|(docker, _)| !names.contains(&alias(image, *docker).as_str()))
        .map(|(_, kind)| kind)
        .collect();
    if missing.is_empty() {
        return Finding::ok(
            IMAGES,
            format!("{image}, with and without Docker, is ready"),
        );
    }
    Finding::problem(
        IMAGES,
        format!(
            "{image} {} is not prepared: such creates fail",
            missing.join(" and ")
        ),
    )
    .run(format!("containarium init --name {}", here.name))
}

fn agree(here: &Installation, there: &BTreeSet<String>, known: &BTreeSet<String>) -> Finding {
    let left: Vec<&str> = there
        .difference(known)
        .map(String::as_str)
        .filter(|name| !name.starts_with(probe::PREFIX))
        .collect();
    let lost: Vec<&str> = known.difference(there).map(String::as_str).collect();
    if left.is_empty() && lost.is_empty() {
        let found = format!(
            "{} containers, all of them in the store and in Incus",
            known.len()
        );
        return Finding::ok(LEFT, found);
    }
    let mut found = Vec::new();
    if !left.is_empty() {
        found.push(format!(
            "in Incus and not in the store: {}",
            left.join(", ")
        ));
    }
    if !lost.is_empty() {
        found.push(format!(
            "in the store and not in Incus (or being made just now): {}",
            lost.join(", ")
        ));
    }
    Finding::warning(LEFT, found.join("; ")).run(format!("incus list --project {}", here.name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::{Verdict, tests::installation};

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn what_one_side_does_not_know_is_named() {
        let here = installation();
        let same = agree(&here, &set(&["c-1", "doctor-2"]), &set(&["c-1"]));
        assert_eq!(same.verdict, Verdict::Ok, "{}", same.found);
        let left = agree(&here, &set(&["c-1", "c-9"]), &set(&["c-1", "c-3"]));
        assert_eq!(left.verdict, Verdict::Warning);
        assert!(
            left.found.contains("not in the store: c-9"),
            "{}",
            left.found
        );
        assert!(left.found.ends_with("c-3"), "{}", left.found);
    }

    #[test]
    fn both_images_are_wanted() {
        let here = installation();
        let plain = "containarium/plain/local/debian/12";
        let docker = "containarium/docker/local/debian/12";
        assert_eq!(images(&here, &[plain, docker]).verdict, Verdict::Ok);
        let finding = images(&here, &[plain]);
        assert_eq!(finding.verdict, Verdict::Problem);
        assert!(
            finding.found.contains("with Docker is not prepared"),
            "{}",
            finding.found
        );
    }
}
