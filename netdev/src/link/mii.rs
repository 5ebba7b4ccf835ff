//! The link as the transceiver itself sees it: the `SIOCGMIIREG` requests (`linux/mii.h`).
//!
//! This reads the device, not the kernel's idea of it: it also notices what a driver does not
//! tell. Devices without a transceiver of that kind are asked by ethtool.

use std::io;

use super::ethtool;
use crate::DeviceError;
use crate::sys::{Ifreq, Request};

/// Basic mode status register (IEEE 802.3 22.2.4.2), and its link status bit.
const BMSR: u16 = 1;
const BMSR_LINK: u16 = 0x0004;

/// Which read of the device answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSource {
    Mii,
    Ethtool,
}

impl LinkSource {
    /// The word for status and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            LinkSource::Mii => "mii",
            LinkSource::Ethtool => "ethtool",
        }
    }
}

/// The device's own link state, and who told.
///
/// # Errors
///
/// No such device; or it answers neither MII nor ethtool (`Operation not supported`), so its link
/// cannot be watched this way.
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
    // The bit latches a loss until it is read: the second read is the state of now.
    r.ioctl(Request::GetMiiReg)?;
    let now = r.ioctl(Request::GetMiiReg)?.u16_at(6);
    Ok(now & BMSR_LINK != 0)
}
