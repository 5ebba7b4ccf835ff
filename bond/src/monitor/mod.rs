//! Health checks of one link. The driver reports their results to the bond as
//! [`Event::Monitor`](crate::Event::Monitor).

pub mod bfd;
pub mod cfm;
pub mod probe;
