//! Partners that need a kernel of their own: Linux bonding in a virtual machine.
//!
//! Without QEMU, a kernel and its modules (`cargo xtask vm`) these tests are shown as ignored.

harness::main!(threads = 2);

mod modes;
mod rig;
