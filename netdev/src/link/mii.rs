//! The link state that the transceiver reports: the `SIOCGMIIREG` requests (`linux/mii.h`).
//!
//! This reads the device's register and not the kernel's cached carrier, so that it also detects a
//! loss that the driver does not report. Devices without MII registers are read by ethtool.

use std::io;

use super::ethtool;
use crate::DeviceError;
use crate::sys::{Ifreq, Request};

/// Basic mode status register (IEEE 802.3 22.2.4.2), and its link status bit.
const BMSR: u16 = 1;
const BMSR_LINK: u16 = 0x0004;

/// Which interface reported the link state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSource {
    /// MII registers.
    Mii,
    /// `ETHTOOL_GLINK`.
    Ethtool,
}

impl LinkSource {
    /// The word in status and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkSource::Mii => "mii",
            LinkSource::Ethtool => "ethtool",
        }
    }
}

/// The device's own link state, and which interface reported it.
///
/// # Errors
///
/// No such device, or it supports neither MII nor ethtool (`Operation not supported`).
pub fn link(name: &str) -> Result<(bool, LinkSource), DeviceError> {
    if let Ok(up) = mii_link(name) {
        return Ok((up, LinkSource::Mii));
    }
    match ethtool::raw_link(name) {
        Ok(up) => Ok((up, LinkSource::Ethtool)),
        Err(source) => {
            let what = "link state by MII or ethtool";
            Err(DeviceError::Get { name: name.to_owned(), what, source })
        }
    }
}

fn mii_link(name: &str) -> io::Result<bool> {
    // struct mii_ioctl_data: phy_id, reg_num, val_in, val_out. The first request fills in phy_id.
    let mut r = Ifreq::new(name)?.ioctl(Request::GetMiiPhy)?;
    r.put(2, &BMSR.to_ne_bytes());
    // The bit latches a loss until it is read: the second read is the current state.
    r.ioctl(Request::GetMiiReg)?;
    let now = r.ioctl(Request::GetMiiReg)?.u16_at(6);
    Ok(now & BMSR_LINK != 0)
}
