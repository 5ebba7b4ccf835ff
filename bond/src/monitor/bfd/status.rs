//! What `bfd/show` prints and `Interface.bfd_status` holds, and the same as JSON.

use std::fmt::Write;

use serde::Serialize;
use wire::Time;
use wire::bfd::{Diag, State, flag_names, flags_of};

use super::Session;
use crate::millis::whole_ms;

/// A session at one moment. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BfdStatus {
    pub name: String,
    pub forwarding: bool,
    pub flap_count: u64,
    pub mult: u8,
    pub cpath_down: bool,
    pub tx_interval_ms: u64,
    pub rx_interval_ms: u64,
    pub detect_ms: i64,
    pub next_tx_ms: i64,
    pub last_tx_ms: i64,
    pub flags: u8,
    pub state: State,
    pub diag: Diag,
    pub discriminator: u32,
    pub min_tx_ms: u64,
    pub min_rx_ms: u64,
    pub remote_flags: u8,
    pub remote_state: State,
    pub remote_diag: Diag,
    pub remote_discriminator: u32,
    pub remote_min_tx_ms: u64,
    pub remote_min_rx_ms: u64,
    pub remote_mult: u8,
    /// Control packets that were discarded.
    pub discarded: u64,
    /// `bfd/set-forwarding` is in force.
    pub forced: bool,
}

/// What `Interface.bfd_status` holds.
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
    /// The session lets traffic through.
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

    /// The present state, as a value.
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
    /// The session's part of `bfd/show`, as Open vSwitch prints it.
    pub fn render_show(&self) -> String {
        format!("---- {} ----\n{}", self.name, self.render_details())
    }

    /// All of `bfd/show INTERFACE`, as Open vSwitch prints it.
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
