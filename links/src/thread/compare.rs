//! The periodic comparison of what engines believe of their members' links with what the devices
//! say, and of the published tables with the engines.
//!
//! Link state reaches an engine by news only, so news that are lost, merged or misread would leave
//! a member out of use for good. Each second a few members' devices are asked, by index, on the
//! query thread. News that are under way make a difference too, so one is acted upon only when the
//! following questions find it still there; then it is put right and logged as a warning.

use std::time::Instant;

use bond::MemberId;
use netdev::DeviceError;
use netdev::link::LinkInfo;
use wire::Time;

use super::Thread;
use crate::known::Known;
use crate::modules::BOND;
use crate::queries::Query;

/// A carrier that differs this often in a row, a second apart, has no message under way:
/// rtnetlink's are up to a second late.
const CARRIER_TIMES: u32 = 3;
/// The same for a device that is gone or has another name: main has to take its port out first,
/// which may wait for the database.
const DEVICE_TIMES: u32 = 10;

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
        if !self.comparison.begin(now) {
            return;
        }
        // Tables against engines: nothing should ever differ here.
        for port in self.ports.values_mut() {
            if port.renew_table(&*self.datapath) {
                runtime::warn!(
                    BOND,
                    "bond {}: the table of its members was out of date; corrected",
                    port.name
                );
            }
        }
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
            self.comparison.agrees(ifindex);
            return;
        }
        let times = self.comparison.differs(ifindex);
        let due: Vec<Difference> = differences.into_iter().filter(|d| times >= d.times).collect();
        if due.is_empty() {
            return;
        }
        self.comparison.agrees(ifindex);
        for d in &due {
            runtime::warn!(
                BOND,
                "port {}: member {} (ifindex {ifindex}) was taken to be {}, but the device is {}; \
                 corrected",
                d.port,
                d.name,
                d.believed,
                d.device; "bond" => &d.port, "member" => &d.name);
        }
        self.correct(ifindex, said, due, since);
    }

    fn differences(&self, ifindex: u32, said: Result<&LinkInfo, &DeviceError>) -> Vec<Difference> {
        let mut all = Vec::new();
        for place in self.members.by_ifindex(ifindex) {
            let Some(port) = self.ports.get(&place.port) else { continue };
            if let Some(device) = port.device(place.member) {
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
                    self.report_carriers(&d.port, vec![(d.member, up)], since);
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
