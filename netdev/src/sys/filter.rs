//! Filters of packet sockets (socket(7), `SO_ATTACH_FILTER`; Linux's networking/filter.rst).

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use zerocopy::{Immutable, IntoBytes};

use super::socket::cvt;

/// One instruction: `struct sock_filter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoBytes, Immutable)]
#[repr(C)]
pub(crate) struct Instruction {
    code: u16,
    /// Instructions skipped if the comparison holds.
    if_true: u8,
    /// Instructions skipped if it does not.
    if_false: u8,
    operand: u32,
}

const _: () = assert!(size_of::<Instruction>() == size_of::<libc::sock_filter>());

/// Ancillary data of a packet (`linux/filter.h`): the VLAN tag that the kernel has taken out.
const VLAN_TAG: u32 = 0xffff_f000 + 44;

const WHOLE: u32 = u32::MAX;

const fn op(code: u32, operand: u32) -> Instruction {
    Instruction { code: code as u16, if_true: 0, if_false: 0, operand }
}

/// Loads the octet, or the 16-bit word, at an offset of the frame.
const fn octet(offset: u32) -> Instruction {
    op(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, offset)
}

const fn word16(offset: u32) -> Instruction {
    op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, offset)
}

/// Goes on if the loaded value is `value`, else skips `skip` instructions.
const fn unless(value: u32, skip: u8) -> Instruction {
    let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    Instruction { if_false: skip, ..op(code, value) }
}

/// Skips `skip` instructions if the loaded value is `value`, else goes on.
const fn when(value: u32, skip: u8) -> Instruction {
    let code = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    Instruction { if_true: skip, ..op(code, value) }
}

const fn end(octets: u32) -> Instruction {
    op(libc::BPF_RET | libc::BPF_K, octets)
}

/// Accepts ARP replies (RFC 826) and neighbour advertisements (RFC 4861) of one VLAN, and with
/// `requests` also ARP requests and neighbour solicitations. `vid` 0 = untagged, or with a priority
/// tag.
pub(crate) fn neighbours(vid: u16, requests: bool) -> [Instruction; 17] {
    const ETH_TYPE: u32 = 12;
    const L3: u32 = 14;
    const ARP_OP: u32 = L3 + 6;
    const NEXT_HEADER: u32 = L3 + 6;
    const ICMPV6_TYPE: u32 = L3 + 40;
    // What a type is compared with twice is compared with itself where requests are not wanted.
    let (request, solicitation) = if requests { (1, 135) } else { (2, 136) };
    [
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, VLAN_TAG),
        op(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0xfff),
        unless(vid.into(), 13),
        word16(ETH_TYPE),
        unless(0x0806, 4),
        word16(ARP_OP),
        when(2, 8),
        unless(request, 8),
        op(libc::BPF_JMP | libc::BPF_JA, 6),
        unless(0x86dd, 6),
        octet(NEXT_HEADER),
        unless(58, 4),
        octet(ICMPV6_TYPE),
        when(136, 1),
        unless(solicitation, 1),
        end(WHOLE),
        end(0),
    ]
}

/// Attaches a filter. Packets that have arrived before stay.
pub(crate) fn attach_filter(fd: impl AsFd, program: &mut [Instruction]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(u16::MAX),
        filter: program.as_mut_ptr().cast(),
    };
    // SAFETY: the kernel reads `filter`, and the instructions that it points to, which are laid out
    // as `struct sock_filter`.
    cvt(unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_ATTACH_FILTER,
            std::ptr::from_ref(&filter).cast(),
            size_of::<libc::sock_fprog>() as libc::socklen_t,
        )
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel does with a program, for the instructions that are used here.
    fn run(program: &[Instruction], frame: &[u8], tag: u32) -> u32 {
        let (mut pc, mut value) = (0, 0);
        loop {
            let i = program[pc];
            pc += 1;
            let at = i.operand as usize;
            let bytes = |n: usize| frame.get(at..at + n);
            match u32::from(i.code) {
                0x20 if i.operand == VLAN_TAG => value = tag,
                0x28 => match bytes(2) {
                    Some(b) => value = u32::from(b[0]) << 8 | u32::from(b[1]),
                    None => return 0,
                },
                0x30 => match bytes(1) {
                    Some(b) => value = b[0].into(),
                    None => return 0,
                },
                0x54 => value &= i.operand,
                0x05 => pc += at,
                0x15 if value == i.operand => pc += usize::from(i.if_true),
                0x15 => pc += usize::from(i.if_false),
                0x06 => return i.operand,
                code => panic!("instruction {code:#x}"),
            }
        }
    }

    fn arp(op: u8) -> Vec<u8> {
        let mut f = vec![0; 42];
        (f[12], f[13], f[21]) = (8, 6, op);
        f
    }

    fn ipv6(next_header: u8, kind: u8) -> Vec<u8> {
        let mut f = vec![0; 86];
        (f[12], f[13], f[20], f[54]) = (0x86, 0xdd, next_header, kind);
        f
    }

    #[test]
    fn answers_and_requests_of_one_vlan_pass() {
        for vid in [0, 20] {
            for requests in [false, true] {
                let program = neighbours(vid, requests);
                let passes = |frame: &[u8], tag: u32| run(&program, frame, tag) != 0;
                let tag = 0x6000 | u32::from(vid);
                for (frame, expected) in [
                    (arp(2), true),
                    (arp(1), requests),
                    (arp(3), false),
                    (ipv6(58, 136), true),
                    (ipv6(58, 135), requests),
                    (ipv6(58, 134), false),
                    (ipv6(17, 136), false),
                    (arp(2)[..20].to_vec(), false),
                    (vec![0; 60], false),
                ] {
                    assert_eq!(passes(&frame, tag), expected, "{vid} {requests} {frame:?}");
                    assert!(!passes(&frame, 30), "another VLAN");
                }
            }
        }
    }
}
