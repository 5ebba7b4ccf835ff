//! The arguments of `ofproto/trace` and `ofproto/trace-packet-out`.

use wire::eth::ETH_HEADER_LEN;

/// Octets of payload in a generated packet unless `--l7` or `--l7-len` says otherwise.
const L7_LEN: usize = 64;
/// The most that `--l7-len` may ask for.
const L7_MAX: usize = 64_000;

/// Flags of `ct_state`, from bit 0 up.
const CT_STATES: [&str; 8] = ["new", "est", "rel", "rpy", "inv", "trk", "snat", "dnat"];
const CT_NEW: u32 = 0x01;
const CT_EST: u32 = 0x02;
const CT_RPY: u32 = 0x08;
const CT_INV: u32 = 0x10;
const CT_TRK: u32 = 0x20;

/// What a generated packet carries above its last header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Payload {
    /// `--l7`.
    Octets(Vec<u8>),
    /// `--l7-len`, and the default: octets that count up.
    Counting(usize),
}

/// The packet that is traced, if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum PacketArg {
    None,
    Generate(Payload),
    Frame(Vec<u8>),
}

/// The arguments, taken apart; flows are still text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Args<'a> {
    /// Datapath or bridge; without one the only datapath is meant.
    pub(super) place: Option<&'a str>,
    pub(super) flow: &'a str,
    pub(super) packet: PacketArg,
    pub(super) consistent: bool,
    pub(super) names: bool,
}

/// Takes the arguments apart. `packet_out` allows `-consistent`.
pub(super) fn parse<'a>(argv: &[&'a str], packet_out: bool) -> Result<Args<'a>, String> {
    let mut payload = Payload::Counting(L7_LEN);
    let (mut generate, mut consistent, mut names) = (false, false, false);
    let mut rest: Vec<&str> = Vec::new();
    let mut words = argv.iter();
    while let Some(&word) = words.next() {
        let mut value = || {
            let missing = || format!("Missing argument for option {word}");
            words.next().copied().ok_or_else(missing)
        };
        match word {
            "-generate" | "--generate" => generate = true,
            "--l7" => {
                let octets = hex(value()?).ok_or("Trailing garbage in packet data")?;
                payload = Payload::Octets(octets);
            }
            "--l7-len" => {
                let text = value()?;
                // What is no number counts as 0, and a negative one is too much.
                let len = leading_number(text);
                let len = usize::try_from(len).ok().filter(|n| *n <= L7_MAX);
                let len = len.ok_or_else(|| format!("{text}: too much L7 data"))?;
                payload = Payload::Counting(len);
            }
            "-consistent" | "--consistent" if packet_out => consistent = true,
            "-names" | "--names" => names = true,
            // Nothing is tracked, so it is only checked.
            "--ct-next" => check_ct_state(value()?)?,
            _ if word.starts_with('-') => return Err(format!("{word}: unknown option")),
            _ if rest.len() == 3 => return Err("too many arguments".to_owned()),
            _ => rest.push(word),
        }
    }
    let mut packet = PacketArg::None;
    if generate {
        packet = PacketArg::Generate(payload);
    } else if let [.., last] = rest[..]
        && rest.len() > 1
    {
        match frame(last) {
            Ok(octets) => {
                packet = PacketArg::Frame(octets);
                rest.pop();
            }
            // Of two arguments the last may as well be the flow; the third can only be a packet.
            Err(text) if rest.len() > 2 => return Err(text.to_owned()),
            Err(_) => {}
        }
    }
    let (place, flow) = match rest[..] {
        [flow] => (None, flow),
        [place, flow] => (Some(place), flow),
        _ => return Err("Syntax error".to_owned()),
    };
    Ok(Args { place, flow, packet, consistent, names })
}

/// Pairs of hexadecimal digits with white space between pairs.
fn hex(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 2);
    let mut chars = text.chars().filter(|c| !matches!(c, ' ' | '\t' | '\r' | '\n')).peekable();
    // White space within a pair is not accepted; a frame with an odd number of digits neither.
    if text.split([' ', '\t', '\r', '\n']).any(|word| word.chars().count() % 2 != 0) {
        return None;
    }
    while let Some(high) = chars.next() {
        let (high, low) = (high.to_digit(16)?, chars.next()?.to_digit(16)?);
        out.push((high << 4 | low) as u8);
    }
    Some(out)
}

fn frame(text: &str) -> Result<Vec<u8>, &'static str> {
    let octets = hex(text).ok_or("Trailing garbage in packet data")?;
    if octets.len() < ETH_HEADER_LEN {
        return Err("Packet data too short for Ethernet");
    }
    Ok(octets)
}

/// The number at the beginning of a text, as C's `atoi` reads it.
fn leading_number(text: &str) -> i64 {
    let text = text.trim_start();
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    match &digits[..end] {
        "" => 0,
        number => number.parse::<i64>().map_or(i64::MAX, |n| sign * n),
    }
}

/// Names of flags with commas between; the rules are those of ovs-fields(7).
fn check_ct_state(text: &str) -> Result<(), String> {
    let mut state = 0;
    for word in text.split([',', ' ']).filter(|w| !w.is_empty()) {
        let bit = CT_STATES.iter().position(|name| *name == word);
        let bit = bit.ok_or_else(|| format!("{word}: unknown connection tracking state flag"))?;
        state |= 1 << bit;
    }
    let shown = ct_text(state);
    let mut wrong = String::new();
    for (broken, rule) in [
        (state != 0 && state & CT_TRK == 0, "If \"trk\" is unset, no other flags are set"),
        (
            state & CT_INV != 0 && state & !(CT_TRK | CT_INV) != 0,
            "when \"inv\" is set, only \"trk\" may also be set",
        ),
        (state & CT_NEW != 0 && state & CT_EST != 0, "\"new\" and \"est\" are mutually exclusive"),
        (state & CT_NEW != 0 && state & CT_RPY != 0, "\"new\" and \"rpy\" are mutually exclusive"),
    ] {
        if broken {
            wrong += &format!("{shown}: invalid connection state: {rule}\n");
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// Names of flags with `|` between.
fn ct_text(state: u32) -> String {
    let set = CT_STATES.iter().enumerate().filter(|(bit, _)| state >> bit & 1 != 0);
    set.map(|(_, name)| *name).collect::<Vec<_>>().join("|")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = "0000000000010000000000020800";

    fn ok<'a>(argv: &[&'a str]) -> Args<'a> {
        parse(argv, false).unwrap()
    }

    #[test]
    fn trace_arguments_are_told_apart() {
        let a = ok(&["in_port(1)"]);
        assert_eq!((a.place, a.flow, a.packet), (None, "in_port(1)", PacketArg::None));
        let a = ok(&["br0", "in_port=1"]);
        assert_eq!((a.place, a.flow), (Some("br0"), "in_port=1"));
        let a = ok(&["in_port(1)", FRAME]);
        assert_eq!((a.place, a.flow), (None, "in_port(1)"));
        assert!(matches!(a.packet, PacketArg::Frame(f) if f.len() == 14));
        let a = ok(&["br0", "in_port=1", "00 00 0000 00 01 00 0000000002 0800"]);
        assert!(matches!(a.packet, PacketArg::Frame(f) if f.len() == 14));
        let a = ok(&["br0", "-generate", "in_port=1", "--names"]);
        assert_eq!(a.packet, PacketArg::Generate(Payload::Counting(64)));
        assert!(a.names);
    }

    #[test]
    fn trace_payload_options_give_the_payload() {
        let a = ok(&["f", "-generate", "--l7", "c0ffee"]);
        assert_eq!(a.packet, PacketArg::Generate(Payload::Octets(vec![0xc0, 0xff, 0xee])));
        let a = ok(&["f", "--generate", "--l7-len", "100"]);
        assert_eq!(a.packet, PacketArg::Generate(Payload::Counting(100)));
    }

    #[test]
    fn malformed_trace_argument_is_named() {
        for (argv, text) in [
            (&["br0", "f", "garbage"][..], "Trailing garbage in packet data"),
            (&["br0", "f", "0011"], "Packet data too short for Ethernet"),
            (&["f", "--l7"], "Missing argument for option --l7"),
            (&["f", "--l7", "0"], "Trailing garbage in packet data"),
            (&["f", "--l7-len", "64001"], "64001: too much L7 data"),
            (&["f", "--l7-len", "-1"], "-1: too much L7 data"),
            (&["f", "-consistent"], "-consistent: unknown option"),
            (&["a", "b", "c", "d"], "too many arguments"),
            (&["-generate"], "Syntax error"),
            (&["f", "--ct-next", "trk,foo"], "foo: unknown connection tracking state flag"),
            (
                &["f", "--ct-next", "new"],
                "new: invalid connection state: If \"trk\" is unset, no other flags are set\n",
            ),
            (
                &["f", "--ct-next", "trk,new,est"],
                "new|est|trk: invalid connection state: \"new\" and \"est\" are mutually exclusive\n",
            ),
        ] {
            assert_eq!(parse(argv, false), Err(text.to_owned()), "{argv:?}");
        }
        assert!(parse(&["br0", "f", "-consistent"], true).unwrap().consistent);
    }
}
