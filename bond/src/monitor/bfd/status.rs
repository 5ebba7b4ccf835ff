//! The state of a session as a value, which serializes to JSON, its text in `bfd/show` and the
//! column `Interface.bfd_status`.

use std::fmt::Write;

use serde::Serialize;
use wire::Time;
use wire::bfd::{Diag, State, flag_names, flags_of};

use super::Session;
use crate::millis::whole_ms;

/// The state of a session at one time. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BfdStatus {
    /// `Interface.name`.
    pub name: String,
    /// The link may carry traffic.
    pub forwarding: bool,
    /// Changes of `forwarding` since the session began.
    pub flap_count: u64,
    /// Our detection multiplier.
    pub mult: u8,
    /// `cpath_down` is configured.
    pub cpath_down: bool,
    /// The transmission interval in use: the larger of our minimum and the remote's receive minimum.
    pub tx_interval_ms: u64,
    /// The interval at which packets are expected: the larger of our receive minimum and the remote's
    /// transmission minimum.
    pub rx_interval_ms: u64,
    /// Time to the detection of a silent remote, negative if it has passed. Without a received packet
    /// it is measured from the start of the clock, as in Open vSwitch.
    pub detect_ms: i64,
    /// Time to the next transmission.
    pub next_tx_ms: i64,
    /// Time of the last transmission relative to now, so that it is negative.
    pub last_tx_ms: i64,
    /// The flags octet of our packets ([`flag_names`]).
    pub flags: u8,
    /// Our session state (bfd.SessionState).
    pub state: State,
    /// Our diagnostic (bfd.LocalDiag).
    pub diag: Diag,
    /// Our discriminator (bfd.LocalDiscr).
    pub discriminator: u32,
    /// Our minimum transmission interval in force.
    pub min_tx_ms: u64,
    /// Our minimum receive interval in force.
    pub min_rx_ms: u64,
    /// The flags octet of the last received packet.
    pub remote_flags: u8,
    /// The state of the remote system.
    pub remote_state: State,
    /// The diagnostic of the remote system.
    pub remote_diag: Diag,
    /// The discriminator of the remote system; 0 = no packet was received.
    pub remote_discriminator: u32,
    /// The remote's minimum transmission interval.
    pub remote_min_tx_ms: u64,
    /// The remote's minimum receive interval.
    pub remote_min_rx_ms: u64,
    /// The remote's detection multiplier; 0 = no packet was received.
    pub remote_mult: u8,
    /// Control packets that were discarded.
    pub discarded: u64,
    /// `bfd/set-forwarding` is in force.
    pub forced: bool,
}

/// The content of `Interface.bfd_status`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BfdColumn {
    forwarding: bool,
    state: State,
    diag: Diag,
    flap_count: u64,
    remote_state: State,
    remote_diag: Diag,
}

impl BfdColumn {
    /// The link may carry traffic.
    pub fn is_forwarding(&self) -> bool {
        self.forwarding
    }

    /// Keys and values, sorted.
    pub fn pairs(&self) -> [(&'static str, String); 6] {
        [
            ("diagnostic", self.diag.as_str().to_owned()),
            ("flap_count", self.flap_count.to_string()),
            ("forwarding", self.forwarding.to_string()),
            ("remote_diagnostic", self.remote_diag.as_str().to_owned()),
            ("remote_state", self.remote_state.as_str().to_owned()),
            ("state", self.state.as_str().to_owned()),
        ]
    }
}

impl Session {
    /// `Interface.bfd_status`.
    pub fn column(&self) -> BfdColumn {
        BfdColumn {
            forwarding: self.forwarding(),
            state: self.state,
            diag: self.diag,
            flap_count: self.flaps,
            remote_state: self.remote.state,
            remote_diag: self.remote.diag,
        }
    }

    /// The current state.
    pub fn status(&self, now: Time) -> BfdStatus {
        let since_start = |t: Option<Time>| whole_ms(now, t.unwrap_or(Time::ZERO));
        BfdStatus {
            name: self.config.name.clone(),
            forwarding: self.forwarding(),
            flap_count: self.flaps,
            mult: self.config.mult,
            cpath_down: self.config.cpath_down,
            tx_interval_ms: self.tx_interval(),
            rx_interval_ms: self.rx_interval(),
            detect_ms: since_start(self.detect),
            next_tx_ms: whole_ms(now, self.next_tx),
            last_tx_ms: since_start(self.last_tx),
            flags: flags_of(self.poll.is_some(), false),
            state: self.state,
            diag: self.diag,
            discriminator: self.discriminator,
            min_tx_ms: self.effective_min_tx(),
            min_rx_ms: self.min_rx,
            remote_flags: self.remote.flags,
            remote_state: self.remote.state,
            remote_diag: self.remote.diag,
            remote_discriminator: self.remote.discriminator,
            remote_min_tx_ms: self.remote.min_tx,
            remote_min_rx_ms: self.remote.min_rx,
            remote_mult: self.remote_mult,
            discarded: self.discarded,
            forced: self.forced.is_some(),
        }
    }
}

impl BfdStatus {
    /// The session's part of `bfd/show`, in Open vSwitch's format.
    pub fn render_show(&self) -> String {
        format!("---- {} ----\n{}", self.name, self.render_details())
    }

    /// The output of `bfd/show INTERFACE`, in Open vSwitch's format.
    pub fn render_details(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_details(&mut out);
        out
    }

    fn write_details(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "  Forwarding: {}", self.forwarding)?;
        writeln!(out, "  Detect Multiplier: {}", self.mult)?;
        writeln!(out, "  Concatenated Path Down: {}", self.cpath_down)?;
        writeln!(out, "  TX Interval: Approx {}ms", self.tx_interval_ms)?;
        writeln!(out, "  RX Interval: Approx {}ms", self.rx_interval_ms)?;
        writeln!(out, "  Detect Time: now {:+}ms", self.detect_ms)?;
        writeln!(out, "  Next TX Time: now {:+}ms", self.next_tx_ms)?;
        writeln!(out, "  Last TX Time: now {:+}ms", self.last_tx_ms)?;
        writeln!(out)?;
        writeln!(out, "  Local Flags: {}", flag_names(self.flags))?;
        writeln!(out, "  Local Session State: {}", self.state.as_str())?;
        writeln!(out, "  Local Diagnostic: {}", self.diag.as_str())?;
        writeln!(out, "  Local Discriminator: {:#x}", self.discriminator)?;
        writeln!(out, "  Local Minimum TX Interval: {}ms", self.min_tx_ms)?;
        writeln!(out, "  Local Minimum RX Interval: {}ms", self.min_rx_ms)?;
        writeln!(out)?;
        writeln!(out, "  Remote Flags: {}", flag_names(self.remote_flags))?;
        writeln!(out, "  Remote Session State: {}", self.remote_state.as_str())?;
        writeln!(out, "  Remote Diagnostic: {}", self.remote_diag.as_str())?;
        writeln!(out, "  Remote Discriminator: {:#x}", self.remote_discriminator)?;
        writeln!(out, "  Remote Minimum TX Interval: {}ms", self.remote_min_tx_ms)?;
        writeln!(out, "  Remote Minimum RX Interval: {}ms", self.remote_min_rx_ms)?;
        writeln!(out, "  Remote Detect Multiplier: {}", self.remote_mult)
    }
}
