//! The options of Linux bonding: names, aliases and values.
//!
//! Source: the Linux kernel's bonding documentation (`networking/bonding`), interfaces(5) of ifupdown
//! for the names with `bond-`, netplan(5), systemd.netdev(5).

use crate::profile::BondOption;

/// What values look like.
#[derive(Clone, Copy)]
enum Values {
    /// Words, each also as the number of its place.
    Words(&'static [&'static str]),
    /// `off` or `on`, also as 0 and 1, `no` and `yes`, `false` and `true`; shown as 0 and 1.
    Bool,
    /// A whole number of at most this.
    Number(u64),
    /// Addresses separated by commas or spaces; a `+` before one is dropped.
    Addresses,
    /// Any text.
    Text,
}

/// One option.
struct Row {
    name: &'static str,
    /// Other spellings, after `bond-` is dropped and `-` is replaced with `_`.
    aliases: &'static [&'static str],
    values: Values,
}

const fn row(name: &'static str, aliases: &'static [&'static str], values: Values) -> Row {
    Row { name, aliases, values }
}

/// `mode`, by number.
pub const MODES: &[&str] = &[
    "balance-rr",
    "active-backup",
    "balance-xor",
    "broadcast",
    "802.3ad",
    "balance-tlb",
    "balance-alb",
];

const MS: Values = Values::Number(i32::MAX as u64);

/// All options that a bond can be given.
const ROWS: &[Row] = &[
    row("mode", &[], Values::Words(MODES)),
    row("miimon", &["mii_monitor_interval"], MS),
    row("use_carrier", &[], Values::Bool),
    row("updelay", &["up_delay"], MS),
    row("downdelay", &["down_delay"], MS),
    row("peer_notif_delay", &["peer_notify_delay"], MS),
    row("primary", &["primary_slave"], Values::Text),
    row(
        "primary_reselect",
        &["primary_reselect_policy"],
        Values::Words(&["always", "better", "failure"]),
    ),
    row("active_slave", &["active_port"], Values::Text),
    row("fail_over_mac", &["fail_over_mac_policy"], Values::Words(&["none", "active", "follow"])),
    row("num_grat_arp", &["gratuitous_arp", "gratuitious_arp"], Values::Number(255)),
    row("num_unsol_na", &["num_peer_notif"], Values::Number(255)),
    row("arp_interval", &[], MS),
    row("arp_ip_target", &["arp_ip_targets"], Values::Addresses),
    row("ns_ip6_target", &["ns_ip6_targets"], Values::Addresses),
    row(
        "arp_validate",
        &[],
        Values::Words(&[
            "none",
            "active",
            "backup",
            "all",
            "filter",
            "filter_active",
            "filter_backup",
        ]),
    ),
    row("arp_all_targets", &[], Values::Words(&["any", "all"])),
    row("arp_missed_max", &["missed_max"], Values::Number(255)),
    row(
        "xmit_hash_policy",
        &["transmit_hash_policy"],
        Values::Words(&["layer2", "layer3+4", "layer2+3", "encap2+3", "encap3+4", "vlan+srcmac"]),
    ),
    row("lacp_rate", &["ad_lacp_rate"], Values::Words(&["slow", "fast"])),
    row("lacp_active", &["ad_lacp_active"], Values::Bool),
    row("lacp_strict", &[], Values::Bool),
    row("coupled_control", &[], Values::Bool),
    row("broadcast_neighbor", &[], Values::Bool),
    row("ad_select", &[], Values::Words(&["stable", "bandwidth", "count", "actor_port_prio"])),
    row("ad_actor_sys_prio", &["ad_actor_system_priority"], Values::Number(65_535)),
    row("ad_actor_system", &[], Values::Text),
    row("ad_user_port_key", &[], Values::Number(1023)),
    row("min_links", &[], Values::Number(u32::MAX as u64)),
    row("all_slaves_active", &["all_members_active", "all_ports_active"], Values::Bool),
    row("packets_per_slave", &["packets_per_member", "packets_per_port"], Values::Number(65_535)),
    row("tlb_dynamic_lb", &["dynamic_transmit_load_balancing"], Values::Bool),
    row("lp_interval", &["learn_packet_interval"], Values::Number(i32::MAX as u64)),
    row("resend_igmp", &[], Values::Number(255)),
];

/// Reads one option in any of its spellings.
///
/// # Errors
///
/// A sentence that names option, value and what is accepted.
pub fn parse(name: &str, value: &str) -> Result<BondOption, String> {
    let plain = name.trim().replace('-', "_").to_lowercase();
    let plain = plain.strip_prefix("bond_").unwrap_or(&plain);
    let Some(row) = ROWS.iter().find(|r| r.name == plain || r.aliases.contains(&plain)) else {
        let near = ROWS
            .iter()
            .map(|r| (strsim::damerau_levenshtein(r.name, plain), r.name))
            .filter(|(distance, _)| *distance <= 2)
            .min();
        return Err(match near {
            Some((_, near)) => {
                format!("Linux bonding has no option {name}; the nearest is {near}.")
            }
            None => format!("Linux bonding has no option {name}."),
        });
    };
    let value = value.trim();
    let accepted = |what: String| format!("{name}={value}: accepted are {what}.");
    let value = match row.values {
        Values::Words(words) => match value.parse::<usize>() {
            Ok(place) => words.get(place).map(|w| (*w).to_owned()),
            Err(_) => {
                let lower = value.to_lowercase();
                words.iter().find(|w| **w == lower).map(|w| (*w).to_owned())
            }
        }
        .ok_or_else(|| accepted(format!("{} or 0 to {}", words.join(", "), words.len() - 1)))?,
        Values::Bool => match boolean(value) {
            Some(true) => "1".to_owned(),
            Some(false) => "0".to_owned(),
            None => return Err(accepted("0 and 1, off and on".to_owned())),
        },
        Values::Number(max) => match value.parse::<u64>() {
            Ok(n) if n <= max => n.to_string(),
            Ok(_) | Err(_) => return Err(accepted(format!("0 to {max}"))),
        },
        Values::Addresses => addresses(value)
            .ok_or_else(|| accepted("IP addresses separated by commas".to_owned()))?
            .join(","),
        Values::Text => value.to_owned(),
    };
    Ok(BondOption { name: row.name, value })
}

/// Reads one option into the profile; a bad one becomes a remark.
pub fn add(profile: &mut crate::profile::Profile, name: &str, value: &str) {
    match parse(name, value) {
        Ok(option) => {
            // Repeated targets add up; of everything else the last one counts.
            let known = profile.options.iter_mut().find(|o| o.name == option.name);
            match known {
                Some(known) if option.name.ends_with("_target") && !option.value.is_empty() => {
                    if !known.value.is_empty() {
                        known.value.push(',');
                    }
                    known.value.push_str(&option.value);
                }
                Some(known) => *known = option,
                None => profile.options.push(option),
            }
        }
        Err(sentence) => profile.remarks.push(sentence),
    }
}

/// The addresses of a list separated by commas or spaces.
fn addresses(text: &str) -> Option<Vec<String>> {
    let words = text.split([',', ' ', ';']).map(str::trim).filter(|w| !w.is_empty());
    words
        .map(|word| {
            let word = word.trim_start_matches('+');
            word.parse::<std::net::IpAddr>().ok().map(|a| a.to_string())
        })
        .collect()
}

/// A truth value in any usual spelling.
pub fn boolean(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "1" | "on" | "yes" | "true" | "y" => Some(true),
        "0" | "off" | "no" | "false" | "n" => Some(false),
        _ => None,
    }
}

/// A span of time in milliseconds: a number without a unit counts in `unit` milliseconds, others
/// carry `us`, `ms`, `s`, `min`, `h`, as in systemd.time(7).
pub fn milliseconds(text: &str, unit: f64) -> Option<u64> {
    let mut total = 0.0;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let number: f64 = rest[..end].parse().ok()?;
        rest = rest[end..].trim_start();
        let end = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
        let factor = match &rest[..end] {
            "" => unit,
            "us" | "usec" => 0.001,
            "ms" | "msec" => 1.0,
            "s" | "sec" | "second" | "seconds" => 1000.0,
            "m" | "min" | "minute" | "minutes" => 60_000.0,
            "h" | "hr" | "hour" | "hours" => 3_600_000.0,
            _ => return None,
        };
        total += number * factor;
        rest = rest[end..].trim_start();
    }
    Some(total.round() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(name: &str, value: &str) -> String {
        parse(name, value).unwrap().value
    }

    #[test]
    fn numeric_modes_are_words() {
        for (number, word) in MODES.iter().enumerate() {
            assert_eq!(value("mode", &number.to_string()), *word);
        }
        assert!(parse("mode", "7").unwrap_err().contains("accepted are balance-rr"));
        assert_eq!(value("xmit_hash_policy", "1"), "layer3+4");
        assert_eq!(value("bond-lacp-rate", "FAST"), "fast");
    }

    #[test]
    fn aliases_lead_to_the_kernel_s_name() {
        for (alias, name) in [
            ("bond-mode", "mode"),
            ("mii-monitor-interval", "miimon"),
            ("gratuitious-arp", "num_grat_arp"),
            ("all-members-active", "all_slaves_active"),
        ] {
            assert_eq!(parse(alias, "1").unwrap().name, name);
        }
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let error = parse("mimon", "100").unwrap_err();
        assert!(error.contains("nearest is miimon"), "{error}");
    }

    #[test]
    fn targets_are_checked_and_lose_their_plus() {
        assert_eq!(value("arp_ip_target", "+192.0.2.1, +192.0.2.2"), "192.0.2.1,192.0.2.2");
        assert!(parse("arp_ip_target", "gateway").is_err());
    }

    #[test]
    fn spans_carry_units() {
        assert_eq!(milliseconds("1s", 1000.0), Some(1000));
        assert_eq!(milliseconds("100ms", 1000.0), Some(100));
        assert_eq!(milliseconds("1", 1000.0), Some(1000));
        assert_eq!(milliseconds("100", 1.0), Some(100));
        assert_eq!(milliseconds("1min 30s", 1.0), Some(90_000));
        assert_eq!(milliseconds("soon", 1.0), None);
    }
}
