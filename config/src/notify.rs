//! What the network is told when a bond moves traffic.

use bond::{NotifyConfig, NotifyPackets};

use crate::option::{Opt, Refusal, millis, range};

/// Keys of `Port.other_config` that configure peer notification.
pub(crate) const NOTIFY: &[Opt<NotifyConfig>] = &[
    Opt::text(
        "bond-notify",
        "the packets that announce addresses when traffic moves, by default rarp for learned \
         addresses only",
        "any of rarp, arp, nd, separated by commas or spaces",
        |n: &mut NotifyConfig, text| {
            n.packets = packets(text)?;
            Ok(())
        },
    )
    .since("0.1.0"),
    Opt::number(
        "bond-notify-count",
        "how often each address is announced",
        range(0, 255, 1, "").note("0 = never"),
        |n: &mut NotifyConfig, count| n.count = count as u8,
    )
    .since("0.1.0"),
    Opt::number(
        "bond-notify-interval",
        "from one announcement of an address to the next",
        range(1, 300_000, 200, "ms"),
        |n: &mut NotifyConfig, ms| n.interval = millis(ms),
    )
    .since("0.1.0"),
];

fn packets(text: &str) -> Result<NotifyPackets, Refusal> {
    let mut packets = NotifyPackets { rarp: false, arp: false, nd: false, configured: true };
    for word in text.split([',', ' ']).filter(|w| !w.is_empty()) {
        match word {
            "rarp" => packets.rarp = true,
            "arp" => packets.arp = true,
            "nd" => packets.nd = true,
            other => {
                return Err(format!(
                    "\"{other}\" is unknown; accepted are rarp, arp, nd, separated by commas or \
                     spaces; using the default"
                ));
            }
        }
    }
    if packets.is_empty() {
        return Err("no packet is named; accepted are rarp, arp, nd; bond-notify-count=0 turns \
                    notification off; using the default"
            .to_owned());
    }
    Ok(packets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_set_is_read() {
        let of = |text| packets(text).map(|p| (p.rarp, p.arp, p.nd));
        assert_eq!(of("rarp"), Ok((true, false, false)));
        assert_eq!(of("arp,nd"), Ok((false, true, true)));
        assert_eq!(of(" nd  rarp, arp ,"), Ok((true, true, true)));
        assert!(of("").unwrap_err().contains("bond-notify-count=0"));
        assert!(of("arp,garp").unwrap_err().starts_with("\"garp\" is unknown"));
        assert!(packets("rarp").unwrap().configured);
        assert!(!NotifyPackets::default().configured);
    }
}
