//! `netdev-dummy/*`: the hands of a test on devices in memory. Only with `--enable-dummy`.

use std::fmt::Write;

use datapath::format::parse;
use netdev::Packet;
use netdev::io::dummy::Connection;
use runtime::compat::TimeWarp;
use wire::{FlowKey, compose};

use super::context::Context;
use super::view::Dummy;
use crate::unixctl::{Commands, Reply};

/// Registers them; `context` finds what they ask.
pub fn register<C: 'static>(
    commands: &mut Commands<C>,
    warp: &TimeWarp,
    context: fn(&C) -> &Context,
) {
    let settle = warp.clone();
    let usage = "name [--qid queue_id] packet|flow [--len packet_len]";
    commands.register("netdev-dummy/receive", usage, 2, usize::MAX, move |c, req| {
        match receive(context(c), req.args) {
            Ok(()) => settle.when_settled(req, Reply::Text(String::new())),
            Err(text) => Reply::Error(text),
        }
    });
    let settle = warp.clone();
    commands.register("netdev-dummy/set-admin-state", "[netdev] up|down", 1, 2, move |c, req| {
        match set_admin_state(context(c), req.args) {
            Ok(()) => settle.when_settled(req, Reply::Text("OK".to_owned())),
            Err(text) => Reply::Error(text),
        }
    });
    commands.register("netdev-dummy/conn-state", "[netdev]", 0, 1, move |c, req| {
        Reply::Text(conn_state(context(c), req.args.first().map(String::as_str)))
    });
}

fn find(c: &Context, name: &str) -> Option<Dummy> {
    c.view.lock().dummies.get(name).cloned()
}

/// Lets a device receive packets, each in hexadecimal or as a flow that it would have.
fn receive(c: &Context, args: &[String]) -> Result<(), String> {
    let (name, mut rest) = args.split_first().ok_or("no such dummy netdev")?;
    let dummy = find(c, name).ok_or("no such dummy netdev")?;
    if let [flag, queue, more @ ..] = rest
        && flag == "--qid"
    {
        let queue: u32 = queue.parse().map_err(|_| "bad rx queue id.")?;
        if queue >= dummy.queues {
            return Err("bad rx queue id.".to_owned());
        }
        rest = more;
    }
    while let Some((text, more)) = rest.split_first() {
        rest = more;
        let frame = match (hex(text), rest) {
            (Some(frame), _) => frame,
            (None, [flag, len, more @ ..]) if flag == "--len" => {
                rest = more;
                let key = flow(text)?;
                // What is no number counts as 0, as it does there.
                let len = len.parse().unwrap_or(0);
                if len < ETH_MIN {
                    return Err("too small packet len".to_owned());
                }
                compose::compose_len(&key, &[], len).map_err(|e| e.to_string())?
            }
            (None, _) => {
                let payload = compose::Payload::Octets(&compose::COUNTING);
                compose::compose(&flow(text)?, &[], payload)
            }
        };
        dummy.port.inject(Packet::new(&frame));
    }
    Ok(())
}

fn flow(text: &str) -> Result<FlowKey, String> {
    parse::flow(text, &|_| None).map(|(key, _)| key).map_err(|e| e.to_string())
}

/// The least that is an Ethernet frame, and what it is padded to on a wire.
const ETH_HEADER: usize = 14;
const ETH_MIN: usize = 60;

/// A packet in hexadecimal digits, with any white space between them.
fn hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(|b| !b.is_ascii_whitespace())
        .map(|b| char::from(b).to_digit(16).map(|d| d as u8))
        .collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let frame: Vec<u8> = pairs.iter().map(|[h, l]| h << 4 | l).collect();
    (rest.is_empty() && frame.len() >= ETH_HEADER).then_some(frame)
}

fn set_admin_state(c: &Context, args: &[String]) -> Result<(), String> {
    let (name, state) = match args {
        [name, state] => (Some(name), state),
        [state] => (None, state),
        _ => return Err("Invalid Admin State".to_owned()),
    };
    let up = match state.to_ascii_lowercase().as_str() {
        "up" => true,
        "down" => false,
        _ => return Err("Invalid Admin State".to_owned()),
    };
    match name {
        Some(name) => find(c, name).ok_or("Unknown Dummy Interface")?.port.set_admin(up),
        None => c.view.lock().dummies.values().for_each(|d| d.port.set_admin(up)),
    }
    c.links.sync();
    Ok(())
}

/// Whether active sockets are connected: of one device, or of all that have one.
fn conn_state(c: &Context, name: Option<&str>) -> String {
    let word = |state| match state {
        Connection::Connected => "connected",
        Connection::Disconnected => "disconnected",
        Connection::Unknown => "unknown",
    };
    if let Some(name) = name {
        let state = find(c, name).map_or(Connection::Unknown, |d| d.port.connection());
        return format!("{name}: {}\n", word(state));
    }
    let mut out = String::new();
    for (name, dummy) in &c.view.lock().dummies {
        let state = dummy.port.connection();
        if state != Connection::Unknown {
            // Writing to a string cannot fail.
            let _ = writeln!(out, "{name}: {}", word(state));
        }
    }
    out
}
