//! Debian's `interfaces`, interfaces(5) of ifupdown with the keys of ifenslave, vlan and bridge-utils.

use super::text::{address, vlan_by_name};
use crate::options;
use crate::profile::{Kind, Profile};

pub(super) fn read(text: &str) -> Vec<Profile> {
    let joined = text.replace("\\\n", " ");
    let mut profiles: Vec<Profile> = Vec::new();
    // The stanza that the lines belong to; `None` in front of the first, and in those of other kinds.
    let mut current: Option<Stanza> = None;
    for line in joined.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (word, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        let rest = rest.trim();
        if word == "iface" {
            finish(&mut profiles, current.take());
            current = Some(Stanza::new(rest));
        } else if ["auto", "mapping", "source", "source-directory", "no-auto-down", "no-scripts"]
            .contains(&word)
            || word.starts_with("allow-")
        {
            finish(&mut profiles, current.take());
        } else if let Some(stanza) = &mut current {
            stanza.line(word, rest);
        }
    }
    finish(&mut profiles, current);
    profiles
}

/// An `iface` stanza while it is read.
struct Stanza {
    profile: Profile,
    address: Option<String>,
    mask: Option<String>,
}

impl Stanza {
    /// `rest` is what follows `iface`: the name, the family and the method.
    fn new(rest: &str) -> Stanza {
        let mut words = rest.split_whitespace();
        let mut profile =
            Profile { name: words.next().unwrap_or_default().to_owned(), ..Profile::default() };
        let family = words.next().unwrap_or("inet");
        let method = words.next().unwrap_or("static");
        profile.network.dhcp = method == "dhcp" || (family == "inet6" && method == "auto");
        if let Some((parent, id)) = vlan_by_name(&profile.name) {
            profile.kind = Kind::Vlan { parent, id };
        }
        Stanza { profile, address: None, mask: None }
    }

    fn line(&mut self, word: &str, rest: &str) {
        let p = &mut self.profile;
        let key = word.replace('_', "-");
        match key.as_str() {
            "address" => self.address = Some(rest.to_owned()),
            "netmask" => self.mask = Some(rest.to_owned()),
            "gateway" => p.network.gateway(rest),
            "mtu" => p.network.mtu = rest.parse().ok(),
            "hwaddress" => {
                p.network.mac = rest.split_whitespace().last().map(str::to_lowercase);
            }
            "dns-nameservers" | "dns-nameserver" => {
                p.network.dns.extend(rest.split_whitespace().map(str::to_owned));
            }
            "bond-slaves" | "slaves" => {
                p.kind = Kind::Bond;
                if rest != "none" {
                    p.ports = rest.split_whitespace().map(str::to_owned).collect();
                }
            }
            "bond-master" => p.master = Some(rest.to_owned()),
            // ifenslave takes a list: the first of them that is there.
            "bond-primary" => {
                let mut names = rest.split_whitespace();
                // In a member's stanza it says what the bond's would.
                if let Some(first) = names.next() {
                    options::add(p, "primary", first);
                }
                if names.next().is_some() {
                    p.remarks.push(format!("bond-primary {rest}: only the first is used."));
                }
            }
            "bond-give-a-chance" | "bond-enslave-option" => {
                p.remarks.push(format!("{word} belongs to ifenslave; it is left out."));
            }
            "vlan-raw-device" => {
                let id = match p.kind {
                    Kind::Vlan { id, .. } => Some(id),
                    Kind::Device | Kind::Bond | Kind::Bridge => {
                        p.name.trim_start_matches("vlan").parse().ok()
                    }
                };
                if let Some(id) = id {
                    p.kind = Kind::Vlan { parent: rest.to_owned(), id };
                }
            }
            "vlan-id" => {
                if let Ok(id) = rest.parse() {
                    let parent = match &p.kind {
                        Kind::Vlan { parent, .. } => parent.clone(),
                        Kind::Device | Kind::Bond | Kind::Bridge => String::new(),
                    };
                    p.kind = Kind::Vlan { parent, id };
                }
            }
            "bridge-ports" => {
                p.kind = Kind::Bridge;
                let names = rest.split_whitespace().filter(|n| *n != "none");
                p.ports = names.map(str::to_owned).collect();
            }
            "up" | "post-up" | "pre-up" | "down" | "pre-down" | "post-down" => {
                p.remarks.push(format!("The command “{word} {rest}” is not carried over."));
            }
            bond if bond.starts_with("bond-") => {
                options::add(p, word, rest);
                if p.kind == Kind::Device {
                    p.kind = Kind::Bond;
                }
            }
            _ => {}
        }
    }
}

/// Adds the stanza. Several stanzas of one name (inet and inet6) are one device.
fn finish(profiles: &mut Vec<Profile>, stanza: Option<Stanza>) {
    let Some(Stanza { profile: mut p, address: text, mask }) = stanza else { return };
    if let Some(text) = text {
        match address(&text, mask.as_deref()) {
            Some(net) => p.network.addresses.push(net),
            None => p.remarks.push(format!("address {text} is not an address.")),
        }
    }
    // Options of the bond may stand in a member's stanza.
    if p.master.is_some() && p.kind == Kind::Bond && p.ports.is_empty() {
        p.kind = Kind::Device;
    }
    match profiles.iter_mut().find(|other| other.name == p.name) {
        Some(other) => crate::bond::merge(other, p),
        None => profiles.push(p),
    }
}
