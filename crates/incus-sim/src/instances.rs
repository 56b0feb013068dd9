//! All instances, by project and name, with what must not be searched for among ten thousand.

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;

use crate::crash::Left;
use crate::instance::{Devices, Instance};

/// Of a project, and in it of a name.
pub(crate) type Key = (String, String);

#[derive(Default)]
pub(crate) struct Instances {
    all: BTreeMap<Key, Instance>,
    /// How many have this pinned address.
    pinned: HashMap<Ipv4Addr, usize>,
}

impl Instances {
    pub(crate) fn get(&self, key: &Key) -> Option<&Instance> {
        self.all.get(key)
    }

    /// To be changed, but for its devices. What was known of its listing is forgotten.
    pub(crate) fn get_mut(&mut self, key: &Key) -> Option<&mut Instance> {
        let instance = self.all.get_mut(key)?;
        instance.listed.take();
        Some(instance)
    }

    pub(crate) fn insert(&mut self, instance: Instance) {
        let key = (instance.project.clone(), instance.name.clone());
        self.remove(&key);
        self.pin(instance.address());
        self.all.insert(key, instance);
    }

    pub(crate) fn remove(&mut self, key: &Key) -> Option<Instance> {
        let instance = self.all.remove(key)?;
        self.unpin(instance.address());
        Some(instance)
    }

    pub(crate) fn add_devices(&mut self, key: &Key, devices: Devices) {
        let Some(mut instance) = self.remove(key) else {
            return;
        };
        instance.listed.take();
        instance.devices.extend(devices);
        self.insert(instance);
    }

    /// Whether another one has the address of this one.
    pub(crate) fn contested(&self, instance: &Instance) -> Option<Ipv4Addr> {
        let address = instance.address()?;
        let count = self.pinned.get(&address).copied().unwrap_or_default();
        (count > 1).then_some(address)
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &Instance> {
        self.all.values()
    }

    /// What a crash of incusd does to them.
    pub(crate) fn crash(&mut self, left: Left) {
        for instance in self.all.values_mut() {
            instance.crash(left);
        }
    }

    /// Those of a project, in the order of their names.
    pub(crate) fn of<'a>(&'a self, project: &'a str) -> impl Iterator<Item = &'a Instance> {
        let first = (project.to_owned(), String::new());
        let all = self.all.range(first..);
        all.take_while(move |((of, _), _)| of == project)
            .map(|(_, instance)| instance)
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn pin(&mut self, address: Option<Ipv4Addr>) {
        if let Some(address) = address {
            *self.pinned.entry(address).or_default() += 1;
        }
    }

    fn unpin(&mut self, address: Option<Ipv4Addr>) {
        let Some(address) = address else { return };
        match self.pinned.get_mut(&address) {
            Some(1) | None => {
                self.pinned.remove(&address);
            }
            Some(count) => *count -= 1,
        }
    }
}
