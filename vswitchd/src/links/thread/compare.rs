//! The periodic comparison of what engines believe of their members' links with what the devices
//! say.
//!
//! Link state reaches an engine by news only, so news that are lost, merged or misread would leave
//! a member out of use for good. Each second a few members' devices are asked, by index, on the
//! query thread. News that are under way make a difference too, so one is acted upon only when the
//! following questions find it still there; then it is put right and logged as a warning.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bond::MemberId;
use netdev::DeviceError;
use netdev::link::LinkInfo;
use wire::Time;

use super::Thread;
use crate::links::known::Known;
use crate::links::queries::Query;
use crate::modules::BOND;

/// Between two batches of questions.
const EVERY: Duration = Duration::from_secs(1);
/// Batches in which every member's device is asked once, if there are that many.
const LAP: usize = 20;
/// A carrier that differs this often in a row, `EVERY` apart, has no news under way: rtnetlink's
/// are up to a second late.
const CARRIER_TIMES: u32 = 3;
/// The same for a device that is gone or has another name: main has to take its port out first,
/// which may wait for the database.
const DEVICE_TIMES: u32 = 10;

/// Which members are to be asked next, and what differed.
#[derive(Default)]
pub(super) struct Comparison {
    next: Option<Time>,
    /// The device after which the next batch begins.
    after: u32,
    /// How often in a row a device has been found to differ, by index.
    suspects: BTreeMap<u32, u32>,
}

impl Comparison {
    /// When to ask next.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.next
    }

    /// There are members on kernel devices, or none.
    pub(super) fn schedule(&mut self, now: Time, members: bool) {
        self.next = members.then(|| self.next.unwrap_or(now + EVERY));
    }

    /// The devices of the next batch, of `all` in ascending order: those under suspicion, and the
    /// next ones.
    fn batch(&mut self, all: &[u32]) -> Vec<u32> {
        self.suspects.retain(|i, _| all.binary_search(i).is_ok());
        let from = all.partition_point(|i| *i <= self.after);
        let n = all.len().div_ceil(LAP);
        let mut batch: Vec<u32> = all[from..].iter().chain(&all[..from]).take(n).copied().collect();
        self.after = batch.last().copied().unwrap_or_default();
        batch.extend(self.suspects.keys());
        batch.sort_unstable();
        batch.dedup();
        batch
    }
}

/// One thing that is not as it was believed to be.
struct Difference {
    port: String,
    member: MemberId,
    name: String,
    believed: String,
    device: String,
    times: u32,
    /// What the engine should be told.
    tell: Option<bool>,
}

fn word(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

impl Thread {
    /// Asks the devices whose turn it is.
    pub(super) fn compare_some(&mut self, now: Time) {
        if self.comparison.next.is_none_or(|t| t > now) {
            return;
        }
        self.comparison.next = Some(now + EVERY);
        let devices = self.ports.values().flat_map(|p| &p.devices);
        let mut all: Vec<u32> = devices.filter_map(|d| d.ifindex()).collect();
        all.sort_unstable();
        all.dedup();
        for ifindex in self.comparison.batch(&all) {
            // One that is still under way says as much.
            self.queries.ask(Query::Compare { ifindex });
        }
    }

    /// A device has answered.
    pub(super) fn compare(
        &mut self,
        ifindex: u32,
        said: Result<&LinkInfo, &DeviceError>,
        since: Instant,
    ) {
        let differences = self.differences(ifindex, said);
        if differences.is_empty() {
            self.comparison.suspects.remove(&ifindex);
            return;
        }
        let times = self.comparison.suspects.entry(ifindex).or_default();
        *times += 1;
        let times = *times;
        let due: Vec<Difference> = differences.into_iter().filter(|d| times >= d.times).collect();
        if due.is_empty() {
            return;
        }
        self.comparison.suspects.remove(&ifindex);
        for d in &due {
            crate::warn!(
                BOND,
                "port {}: member {} (ifindex {ifindex}) was taken to be {}, but the device is {}; \
                 corrected",
                d.port,
                d.name,
                d.believed,
                d.device
            );
        }
        self.correct(ifindex, said, due, since);
    }

    fn differences(&self, ifindex: u32, said: Result<&LinkInfo, &DeviceError>) -> Vec<Difference> {
        let mut all = Vec::new();
        for port in self.ports.values() {
            for device in port.devices.iter().filter(|d| d.ifindex() == Some(ifindex)) {
                let (member, name) = (device.member.id, device.member.name.clone());
                let mut differs = |believed: String, says: String, times, tell| {
                    let (port, name) = (port.name.clone(), name.clone());
                    let device = says;
                    all.push(Difference { port, member, name, believed, device, times, tell });
                };
                let info = match said {
                    Ok(info) => info,
                    Err(e) if e.is_absent() => {
                        differs("present".to_owned(), "gone".to_owned(), DEVICE_TIMES, Some(false));
                        continue;
                    }
                    // Nothing was learned.
                    Err(_) => continue,
                };
                if info.name != name {
                    let (was, is) = (format!("named {name}"), format!("named {}", info.name));
                    differs(was, is, DEVICE_TIMES, None);
                }
                let up = match device.follows_carrier() {
                    true => info.admin_up && info.carrier,
                    false => match device.up {
                        Some(up) => up,
                        None => continue,
                    },
                };
                let believed = port.believes(member);
                let known = self.kernel.get(&ifindex).map(Known::up);
                if believed != Some(up) || (device.follows_carrier() && known != Some(up)) {
                    let wrong = believed.filter(|b| *b != up).map_or(!up, |b| b);
                    differs(word(wrong).to_owned(), word(up).to_owned(), CARRIER_TIMES, Some(up));
                }
            }
        }
        all
    }

    /// Makes engines, the list of devices and main's snapshot what the device says.
    fn correct(
        &mut self,
        ifindex: u32,
        said: Result<&LinkInfo, &DeviceError>,
        due: Vec<Difference>,
        since: Instant,
    ) {
        if let Ok(info) = said {
            match self.kernel.get_mut(&ifindex) {
                Some(known) => known.correct(info.clone()),
                None => drop(self.kernel.insert(ifindex, Known::new(info.clone()))),
            }
        }
        let mut gone = Vec::new();
        for d in due {
            match d.tell {
                Some(up) => {
                    let running = self.ports.get_mut(&d.port);
                    if let Some(device) = running.and_then(|p| p.device_mut(d.member)) {
                        if device.follows_carrier() {
                            device.heard(up);
                        }
                        device.read();
                    }
                    self.told(&d.port, vec![(d.member, up)], since);
                    if said.is_err() {
                        gone.push((d.name, ifindex));
                    }
                }
                None => gone.push((d.name, ifindex)),
            }
        }
        self.watch_carriers();
        // What else may have been missed.
        self.monitor.want_list();
        let touched = self.kernel.contains_key(&ifindex).then_some(ifindex);
        self.report(touched.into_iter().collect(), gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_device_has_its_turn_and_suspects_have_every_turn() {
        let all: Vec<u32> = (1..=50).map(|i| i * 3).collect();
        let mut c = Comparison::default();
        c.suspects.insert(9, 1);
        c.suspects.insert(1000, 1);
        let mut seen = Vec::new();
        for _ in 0..LAP {
            let batch = c.batch(&all);
            assert!(batch.len() <= 4 && batch.contains(&9));
            seen.extend(batch);
        }
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, all);
        assert!(!c.suspects.contains_key(&1000), "a device that is no member any more");
        assert_eq!(c.batch(&[]), Vec::<u32>::new());
        assert_eq!(c.batch(&[5]), [5]);
    }
}
