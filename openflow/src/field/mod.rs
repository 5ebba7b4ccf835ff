//! Fields: what a flow can match and an action can read or set.
//!
//! A [`Field`] names one; [`Field::info`] tells its width, how its values are written, when it
//! exists, and by which headers the versions name it. [`Fields`] holds the value of all of them,
//! and [`Match`] a value and a mask.

mod fields;
mod id;
mod matching;
mod table;

pub use fields::Fields;
pub use id::Field;
pub use matching::Match;
pub use table::{FieldInfo, Format, Header, Prereq};

use crate::error::OfError;
use crate::version::Version;

impl Field {
    /// All facts about it.
    pub fn info(self) -> &'static FieldInfo {
        table::by_field(self)
    }

    /// By its name or other name, such as `nw_src`, `ip_src` or `reg3`.
    pub fn from_name(name: &str) -> Option<Field> {
        table::by_name(name)
    }

    /// By the name of one of its headers, such as `NXM_OF_IP_SRC`.
    pub fn from_header_name(name: &str) -> Option<Field> {
        table::by_header_name(name)
    }

    /// All fields.
    pub fn all() -> impl Iterator<Item = Field> {
        table::rows().map(|r| r.field)
    }

    /// The bits that a value can have: all of them set.
    pub fn ones(self) -> u128 {
        match self {
            Field::VlanVid => 0x1fff,
            Field::IpDscp => 0xfc,
            _ => ones(self.info().bits),
        }
    }

    /// Whether `value` can stand in a message or command: no bit outside the field, and for a
    /// port one that exists.
    pub fn value_ok(self, value: u128) -> bool {
        match self {
            Field::InPortOxm | Field::ActsetOutput => {
                u32::try_from(value).is_ok_and(|v| crate::OfPort::from_wire32(v).is_ok())
            }
            Field::ArpOp | Field::CtState => value <= 0xff,
            _ => value & !self.ones() == 0,
        }
    }

    /// The header by which a version names the field; without a version the oldest, which is an
    /// NXM one where there is such.
    pub fn header(self, version: Option<Version>) -> Option<&'static Header> {
        let headers = self.info().headers;
        let first = headers.first()?;
        let wire = version.map_or(0, Version::wire);
        Some(headers.iter().rfind(|h| wire >= h.since).unwrap_or(first))
    }

    /// By which name to write it in actions: the oldest header's name where there is one.
    pub fn header_name(self) -> &'static str {
        self.header(None).map_or(self.info().name, |h| h.name)
    }

    /// Whether the field makes sense for the packets that `f` matches.
    pub fn prereq_ok(self, f: &Fields) -> bool {
        self.info().prereq.holds(f)
    }
}

/// `n` bits set, from the lowest.
pub(crate) const fn ones(n: u16) -> u128 {
    if n >= 128 { u128::MAX } else { (1 << n) - 1 }
}

/// Some bits of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subfield {
    /// The field.
    pub field: Field,
    /// Lowest bit, 0 the field's lowest.
    pub ofs: u16,
    /// Number of bits.
    pub n_bits: u16,
}

impl Subfield {
    /// The whole field.
    pub fn whole(field: Field) -> Subfield {
        Subfield { field, ofs: 0, n_bits: field.info().bits }
    }

    /// A mask of its bits within the field.
    pub fn mask(self) -> u128 {
        if self.ofs >= 128 { 0 } else { ones(self.n_bits) << self.ofs }
    }

    /// Its value in `f`.
    pub fn get(self, f: &Fields) -> u128 {
        (f.get(self.field) >> self.ofs) & ones(self.n_bits)
    }

    /// Sets its value in `f`, leaving the field's other bits. Bits of `v` beyond its width are
    /// dropped.
    pub fn set(self, f: &mut Fields, v: u128) {
        let old = f.get(self.field) & !self.mask();
        f.set(self.field, old | ((v & ones(self.n_bits)) << self.ofs));
    }

    /// Whether an action may read it.
    pub fn check_src(self) -> Result<(), OfError> {
        let bits = self.field.info().bits;
        // Offsets come from the wire: 16 bits each, so the sum needs 32.
        if self.n_bits == 0
            || self.ofs >= bits
            || u32::from(self.ofs) + u32::from(self.n_bits) > u32::from(bits)
        {
            return Err(OfError::BacBadSetLen);
        }
        Ok(())
    }

    /// Whether an action may set it.
    pub fn check_dst(self) -> Result<(), OfError> {
        self.check_src()?;
        if self.field.info().writable { Ok(()) } else { Err(OfError::BacBadSetArgument) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn field_header_depends_on_version() {
        let name = |f: Field, v| f.header(v).map(|h| h.name);
        assert_eq!(name(Field::Ipv4Src, None), Some("NXM_OF_IP_SRC"));
        assert_eq!(name(Field::Ipv4Src, Some(Version::V13)), Some("OXM_OF_IPV4_SRC"));
        assert_eq!(name(Field::TunId, Some(Version::V12)), Some("NXM_NX_TUN_ID"));
        assert_eq!(name(Field::TunId, Some(Version::V13)), Some("OXM_OF_TUNNEL_ID"));
        assert_eq!(name(Field::TcpFlags, Some(Version::V14)), Some("ONFOXM_ET_TCP_FLAGS"));
        assert_eq!(name(Field::TcpFlags, Some(Version::V15)), Some("OXM_OF_TCP_FLAGS"));
        assert_eq!(name(Field::Metadata, None), Some("OXM_OF_METADATA"));
        assert_eq!(name(Field::DlVlan, None), None);
    }

    #[test]
    fn field_is_found_by_each_of_its_names() {
        for f in Field::all() {
            assert_eq!(Field::from_name(f.info().name), Some(f));
            for h in f.info().headers {
                assert_eq!(Field::from_header_name(h.name), Some(f));
            }
        }
        assert_eq!(Field::from_name("nw_src"), Some(Field::Ipv4Src));
        assert_eq!(Field::from_name("xxreg7"), Some(Field::XxReg(7)));
        assert_eq!(Field::from_name("reg32"), None);
    }

    /// Every field reads back what was set, on its own.
    #[test]
    fn field_set_reads_back_alone() {
        for f in Field::all() {
            let mut all = Fields::default();
            let v = match f {
                Field::InPortOxm | Field::ActsetOutput => 0xffff_fffe,
                Field::IpDscp => 0xb8,
                Field::ArpOp | Field::CtState => 0xa5,
                Field::DlVlan => 0xabc,
                _ => 0x5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a_5a5a & f.ones(),
            };
            assert!(f.value_ok(v), "{f:?}");
            all.set(f, v);
            assert_eq!(all.get(f), v, "{f:?}");
        }
    }

    #[test]
    fn registers_overlap() {
        let mut f = Fields::default();
        f.set(Field::XxReg(1), 0x0123_4567_89ab_cdef_1122_3344_5566_7788);
        assert_eq!(f.get(Field::Reg(4)), 0x0123_4567);
        assert_eq!(f.get(Field::Reg(7)), 0x5566_7788);
        assert_eq!(f.get(Field::XReg(3)), 0x1122_3344_5566_7788);
        let s = Subfield { field: Field::Reg(4), ofs: 4, n_bits: 8 };
        assert_eq!(s.get(&f), 0x56);
        s.set(&mut f, 0xfff);
        assert_eq!(f.get(Field::Reg(4)), 0x0123_4ff7);
    }

    #[test]
    fn subfield_bounds() {
        let s = |ofs, n_bits| Subfield { field: Field::Reg(0), ofs, n_bits }.check_dst();
        assert_eq!(s(0, 32), Ok(()));
        assert_eq!(s(31, 1), Ok(()));
        assert_eq!(s(0, 0), Err(OfError::BacBadSetLen));
        assert_eq!(s(1, 32), Err(OfError::BacBadSetLen));
        assert_eq!(s(65535, 65535), Err(OfError::BacBadSetLen));
        assert_eq!(Subfield::whole(Field::EthType).check_dst(), Err(OfError::BacBadSetArgument));
    }
}
