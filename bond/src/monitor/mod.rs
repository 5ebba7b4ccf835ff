//! Health checks of one link, beside its carrier. What one says goes into a bond as
//! [`Event::Monitor`](crate::Event::Monitor).

pub mod bfd;
pub mod cfm;
